package notify_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/makegood/makegood/internal/notify"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
)

// The vector of Twilio's own libraries and its page on security.
const (
	vectorURL       = "https://mycompany.com/myapp.php?foo=1&bar=2"
	vectorSignature = "0/KCTR6DLpKmkAf8muzZqo1nDgQ="
)

func vectorForm() url.Values {
	return url.Values{"CallSid": {"CA1234567890ABCDE"}, "From": {"+12349013030"}, "To": {"+18005551212"}, "Caller": {"+12349013030"}, "Digits": {"1234"}}
}

func TestVerifyTwilio(t *testing.T) {
	t.Parallel()
	token := secret.New("12345")
	with := func(name string, values ...string) url.Values { f := vectorForm(); f[name] = values; return f }
	without := vectorForm()
	delete(without, "Digits")
	for _, tt := range []struct {
		name      string
		token     secret.Value
		url       string
		form      url.Values
		signature string
		want      bool
	}{
		{"published", token, vectorURL, vectorForm(), vectorSignature, true},
		{"with the port that goes without saying", token, "https://mycompany.com:443/myapp.php?foo=1&bar=2", vectorForm(), vectorSignature, true},
		{"another port", token, "https://mycompany.com:444/myapp.php?foo=1&bar=2", vectorForm(), vectorSignature, false},
		{"http", token, "http://mycompany.com/myapp.php?foo=1&bar=2", vectorForm(), vectorSignature, false},
		{"a value twice counts once", token, vectorURL, with("Digits", "1234", "1234"), vectorSignature, true},
		{"another value", token, vectorURL, with("Digits", "1235"), vectorSignature, false},
		{"a field more", token, vectorURL, with("X", "1"), vectorSignature, false},
		{"a field less", token, vectorURL, without, vectorSignature, false},
		{"another path", token, "https://mycompany.com/other.php?foo=1&bar=2", vectorForm(), vectorSignature, false},
		{"another token", secret.New("12346"), vectorURL, vectorForm(), vectorSignature, false},
		{"no token", secret.Value{}, vectorURL, vectorForm(), vectorSignature, false},
		{"no token, signed with none", secret.Value{}, vectorURL, vectorForm(), simulate.SignTwilio("", vectorURL, vectorForm()), false},
		{"no signature", token, vectorURL, vectorForm(), "", false},
		{"no base64", token, vectorURL, vectorForm(), "0/KCTR6DLpKmkAf8muzZqo1nDgQ", false},
		{"no address", token, "", vectorForm(), vectorSignature, false},
	} {
		if got := notify.VerifyTwilio(tt.token, tt.url, tt.form, tt.signature); got != tt.want {
			t.Errorf("%s: VerifyTwilio = %v, want %v", tt.name, got, tt.want)
		}
	}
	address := "https://a.example:443/sms"
	if !notify.VerifyTwilio(token, "https://a.example/sms", vectorForm(), simulate.SignTwilio("12345", address, vectorForm())) {
		t.Error("signed with a port that we do not know of is refused")
	}
}

func TestTwilioStatus(t *testing.T) {
	t.Parallel()
	const sid = "SM0123456789abcdef0123456789abcdef"
	for _, tt := range []struct {
		sid, status, error string
		wantSID            string
		delivered, failed  bool
		code               string
	}{
		{sid, "delivered", "", sid, true, false, ""},
		{sid, "read", "", sid, true, false, ""},
		{sid, "sent", "", sid, false, false, ""},
		{sid, "undelivered", "30005", sid, false, true, "30005"},
		{sid, "failed", "30008", sid, false, true, "30008"},
		{sid, "failed", "+4915112345678", sid, false, true, ""},
		{"SMx", "delivered", "", "", false, false, ""},
		{"", "", "", "", false, false, ""},
	} {
		gotSID, delivered, failed, code := notify.TwilioStatus(url.Values{"MessageSid": {tt.sid}, "MessageStatus": {tt.status}, "ErrorCode": {tt.error}})
		if gotSID != tt.wantSID || delivered != tt.delivered || failed != tt.failed || code != tt.code {
			t.Errorf("TwilioStatus(%s %s) = %q %v %v %q", tt.sid, tt.status, gotSID, delivered, failed, code)
		}
	}
}

// TestTwilioCallsBack: what the pretend Twilio tells a StatusCallback verifies, and names the receipt's id.
func TestTwilioCallsBack(t *testing.T) {
	t.Parallel()
	type told struct {
		sid               string
		delivered, failed bool
		code              string
	}
	heard := make(chan told, 1)
	var callback atomic.Pointer[string]
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || !notify.VerifyTwilio(secret.New(simulate.TwilioToken), *callback.Load(), r.PostForm, r.Header.Get("X-Twilio-Signature")) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		sid, delivered, failed, code := notify.TwilioStatus(r.PostForm)
		heard <- told{sid, delivered, failed, code}
	}))
	defer listener.Close()
	at := listener.URL + "/sms/status?node=1"
	callback.Store(&at)
	twilio := simulate.NewTwilio(simulate.TwilioOptions{AlertOptions: options(), Fate: func(m simulate.TwilioMessage) (string, string) { return "undelivered", "30005" }})
	server := httptest.NewServer(twilio)
	defer server.Close()
	c, err := notify.NewSMS(notify.SMSOptions{Base: server.URL, Account: simulate.TwilioAccount, Token: secret.New(simulate.TwilioToken), From: "Shop",
		To: []string{phone}, StatusCallback: at, HTTP: client(t), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Send(t.Context(), alarm("msg1"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := <-heard, (told{r.RemoteID, false, true, "30005"}); got != want {
		t.Errorf("called back %+v, want %+v", got, want)
	}
	twilio.Close()
	if status, err := twilio.CallBack(t.Context(), r.RemoteID, "delivered", ""); err != nil || status != http.StatusOK {
		t.Fatalf("CallBack = %d, %v", status, err)
	}
	if got := <-heard; !got.delivered {
		t.Errorf("called back %+v, want delivered", got)
	}
	elsewhere := at + "x"
	callback.Store(&elsewhere)
	if status, err := twilio.CallBack(t.Context(), r.RemoteID, "delivered", ""); err != nil || status != http.StatusForbidden {
		t.Errorf("CallBack to a listener that believes it has another address = %d, %v, want 403", status, err)
	}
	if _, err := twilio.CallBack(t.Context(), "SM0", "delivered", ""); err == nil {
		t.Error("CallBack of a message that is not there succeeded")
	}
}
