package mail

// Render is what goes over the wire after DATA.
func (s *SMTP) Render(m Message) ([]byte, error) { return s.render(m) }
