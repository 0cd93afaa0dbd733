package simulate

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// action does what one route of the API is for, while the lock is held, and returns the object to answer with.
type action func(*call) (any, *apiError)

// call is one request to the API after it was read and its key was found good.
type call struct {
	r         *http.Request
	form      *form
	now       time.Time
	requestID string
	key       string // Idempotency-Key, empty if none
	print     [32]byte
}

func (c *call) id() string { return c.r.PathValue("id") }

// origin is what an event says about the request that caused it; empty when the world did.
func (c *call) origin() origin { return origin{requestID: c.requestID, key: c.key} }

// apiError is an answer in Stripe's error form. One with isOutcome set was reached while acting, so that an
// Idempotency-Key remembers it; the others were refused before, and Stripe does not remember those.
type apiError struct {
	status    int
	isOutcome bool
	Type      string `json:"type"`
	Code      string `json:"code,omitempty"`
	Message   string `json:"message"`
	Param     string `json:"param,omitempty"`
}

func invalid(code, param, message string) *apiError {
	return &apiError{status: http.StatusBadRequest, Type: "invalid_request_error", Code: code, Param: param, Message: message}
}

func outcome(code, param, message string) *apiError {
	problem := invalid(code, param, message)
	problem.isOutcome = true
	return problem
}

func noSuch(kind, id, param string) *apiError {
	problem := invalid("resource_missing", param, "No such "+kind+": '"+id+"'")
	problem.status = http.StatusNotFound
	return problem
}

func unrecognizedURL(c *call) (any, *apiError) {
	problem := invalid("", "", "Unrecognized request URL ("+c.r.Method+": "+c.r.URL.Path+"). If you are trying to list objects, "+
		"remove the trailing slash. If you are trying to retrieve an object, make sure you passed a valid (non-empty) identifier in your code.")
	problem.status = http.StatusNotFound
	return nil, problem
}

// asked is the error Stripe would have for a status that a fault asks for.
func asked(status int) *apiError {
	problem := &apiError{status: status, Type: "invalid_request_error", Message: "The request was refused: " + http.StatusText(status)}
	switch {
	case status == http.StatusUnauthorized:
		problem.Message = "Invalid API Key provided: sk_****"
	case status == http.StatusForbidden:
		problem.Code, problem.Message = "secret_key_required", "The provided key does not have the required permissions for this endpoint."
	case status == http.StatusTooManyRequests:
		problem.Code, problem.Message = "rate_limit", "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."
	case status >= 500:
		problem.Type, problem.Message = "api_error", "An unknown error occurred"
	}
	return problem
}

// answer is a status and a body, ready to be written or remembered.
type answer struct {
	status    int
	body      []byte
	requestID string // of the request that produced it
}

func (e *apiError) answer(requestID string) answer {
	body, err := json.MarshalIndent(map[string]any{"error": e}, "", "  ")
	if err != nil {
		panic("simulate: " + err.Error()) // unreachable: strings only
	}
	return answer{status: e.status, body: body, requestID: requestID}
}

func answerOf(object any, problem *apiError, requestID string) answer {
	if problem != nil {
		return problem.answer(requestID)
	}
	body, err := json.Marshal(object)
	if err != nil {
		panic("simulate: " + err.Error()) // unreachable: our own types
	}
	return answer{status: http.StatusOK, body: body, requestID: requestID}
}

func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	if a.status == http.StatusTooManyRequests {
		w.Header().Set("Stripe-Rate-Limited-Reason", "global-rate")
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // a client that has gone away misses its answer
}

// api makes a handler of an action: read, check the key, misbehave if asked to, act once per Idempotency-Key, answer.
func (s *Stripe) api(act action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, problem := s.read(w, r)
		if problem != nil {
			problem.answer("").write(w)
			return
		}
		faults := s.currentFaults()
		if status := ask(faults.FailAPI, r); status != 0 {
			s.refuse(w, c, status)
			return
		}
		a, isReplay := s.once(c, faults.Latency, act)
		if status := ask(faults.FailAfter, r); status != 0 {
			misbehave(w, r, s.courier.stop, status, asked(status).answer(c.requestID))
			return
		}
		if isReplay {
			w.Header().Set("Idempotent-Replayed", "true")
			w.Header().Set("Original-Request", a.requestID)
		}
		a.write(w)
	}
}

// read takes the request in and checks the key that came with it.
func (s *Stripe) read(w http.ResponseWriter, r *http.Request) (*call, *apiError) {
	s.mu.Lock()
	c := &call{r: r, requestID: s.id("req_", 14), key: r.Header.Get("Idempotency-Key")}
	s.mu.Unlock()
	w.Header().Set("Request-Id", c.requestID)
	w.Header().Set("Stripe-Version", s.options.APIVersion)
	if problem := s.authenticate(r); problem != nil {
		return nil, problem
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, invalid("", "", "The request body could not be read.")
	}
	r.Body = io.NopCloser(bytes.NewReader(body)) // a fault may want to look at it
	if len(c.key) > stripeKeyMax {
		return nil, invalid("", "", "Idempotency keys can be at most 255 characters long.")
	}
	if c.key != "" {
		w.Header().Set("Idempotency-Key", c.key)
	}
	encoded := string(body)
	if r.Method == http.MethodGet || encoded == "" {
		encoded = r.URL.RawQuery
	}
	c.print = fingerprint(r.Method, r.URL.Path, encoded)
	form, problem := parseForm(encoded)
	c.form = form
	return c, problem
}

// readBody reads a bounded body, into the right size at once if the client said how long it is.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var body bytes.Buffer
	if r.ContentLength > 0 && r.ContentLength <= requestBytesMax {
		body.Grow(int(r.ContentLength) + bytes.MinRead) // the buffer wants room for one more read to see the end
	}
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, requestBytesMax))
	return body.Bytes(), err
}

func (s *Stripe) authenticate(r *http.Request) *apiError {
	key, _, _ := r.BasicAuth()
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		key = bearer
	}
	if key == s.options.APIKey {
		return nil
	}
	problem := asked(http.StatusUnauthorized)
	problem.Message = "Invalid API Key provided: " + masked(key)
	if key == "" {
		problem.Message = "You did not provide an API key. You need to provide your API key in the Authorization header, " +
			"using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
	}
	return problem
}

// masked shows a key as Stripe does in its errors: the beginning and the last four characters.
func masked(key string) string {
	if len(key) < 16 {
		return strings.Repeat("*", len(key))
	}
	return key[:8] + strings.Repeat("*", len(key)-12) + key[len(key)-4:]
}

// refuse answers without having acted. Stripe remembers a 500 under the key like any result; statuses that come from in
// front of its endpoints (429, 502, 503) it does not.
func (s *Stripe) refuse(w http.ResponseWriter, c *call, status int) {
	a := asked(status)
	if status == http.StatusInternalServerError && c.r.Method == http.MethodPost && c.key != "" {
		s.mu.Lock()
		if _, state := s.keys.begin(c.key, c.print, s.options.Now()); state == keyIsNew {
			s.keys.finish(c.key, a.answer(c.requestID))
		}
		s.mu.Unlock()
	}
	misbehave(w, c.r, s.courier.stop, status, a.answer(c.requestID))
}

// once acts, or replays what an earlier request with the same Idempotency-Key got.
func (s *Stripe) once(c *call, latency time.Duration, act action) (a answer, isReplay bool) {
	isKeyed := c.r.Method == http.MethodPost && c.key != ""
	if isKeyed {
		s.mu.Lock()
		earlier, state := s.keys.begin(c.key, c.print, s.options.Now())
		s.mu.Unlock()
		switch state {
		case keyIsDone:
			return earlier, true
		case keyIsBusy, keyIsOther:
			return keyConflict(c.key, state).answer(c.requestID), false
		}
	}
	waitFor(c.r.Context(), s.courier.stop, latency)
	c.now = s.begin()
	defer s.mu.Unlock()
	object, problem := act(c)
	a = answerOf(object, problem, c.requestID)
	switch {
	case !isKeyed:
	case problem == nil || problem.isOutcome:
		s.keys.finish(c.key, a)
	default:
		s.keys.release(c.key)
	}
	return a, false
}

// listObject is Stripe's list.
type listObject struct {
	Object  string `json:"object"`
	Data    []any  `json:"data"`
	HasMore bool   `json:"has_more"`
	URL     string `json:"url"`
}

// pageOf reads the paging parameters and created, checks that nothing unknown was asked, and returns the page.
// The caller reads its own filters from the form before.
func pageOf[T any](c *call, l *ledger[T], created func(T) time.Time, match func(T) bool, show func(T) any) (any, *apiError) {
	f := c.form
	within := f.within("created")
	paging := cursor{
		limit:         int(f.number("limit", pageSizeDefault)),
		startingAfter: f.text("starting_after"),
		endingBefore:  f.text("ending_before"),
	}
	if paging.limit < 1 || paging.limit > pageSizeMax {
		f.fail("parameter_invalid_integer", "limit", "This value must be between 1 and 100.")
	}
	for _, id := range []string{paging.startingAfter, paging.endingBefore} {
		if id != "" && !l.has(id) {
			f.fail("resource_missing", "starting_after", "No such object: '"+id+"'")
		}
	}
	if problem := f.check(); problem != nil {
		return nil, problem
	}
	items, hasMore := l.page(paging, func(item T) bool { return within(created(item).Unix()) && match(item) })
	data := make([]any, 0, len(items))
	for _, item := range items {
		data = append(data, show(item))
	}
	return listObject{Object: "list", Data: data, HasMore: hasMore, URL: c.r.URL.Path}, nil
}

// within reads a filter such as created=5 or created[gte]=5 and created[lt]=9, in unix seconds.
func (f *form) within(name string) func(int64) bool {
	if !f.has(name) {
		return func(int64) bool { return true }
	}
	field := f.field(name)
	if field.isValue {
		exact := f.number(name, 0)
		return func(t int64) bool { return t == exact }
	}
	const never = int64(1) << 62
	gt, gte := field.number("gt", -never), field.number("gte", -never)
	lt, lte := field.number("lt", never), field.number("lte", never)
	return func(t int64) bool { return t > gt && t >= gte && t < lt && t <= lte }
}

// expansion reads expand[] and refuses what cannot be expanded. In a list every path starts with "data.".
func (c *call) expansion(prefix string, allowed ...string) map[string]bool {
	wanted := map[string]bool{}
	for _, path := range c.form.texts("expand") {
		short, ok := strings.CutPrefix(path, prefix)
		if !ok || !slices.Contains(allowed, short) {
			c.form.fail("", "expand", "This property cannot be expanded ("+path+").")
			continue
		}
		for short != "" { // to expand a.b is to expand a
			wanted[short] = true
			i := strings.LastIndexByte(short, '.')
			short = short[:max(i, 0)]
		}
	}
	return wanted
}
