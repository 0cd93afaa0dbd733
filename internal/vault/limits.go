package vault

// The limits of a source of truth. What is beyond them is refused, and never read in part.
const (
	// sealedBytesMax caps a sealed file: two hundred secrets of a kilobyte are a fifth of it.
	sealedBytesMax = 1 << 20
	// valueBytesMax caps one secret, as secret.Resolve does: 64 KiB holds any key or certificate.
	valueBytesMax = 64 << 10
	// secretsMax caps the secrets of one source. Cloudflare takes 64 variables for a program, GitHub 100.
	secretsMax = 200
	// entriesMax caps what is looked at in a directory, with what begins with a dot and is passed over.
	entriesMax = 1000
	// nameBytesMax caps the name of a variable.
	nameBytesMax = 128
)
