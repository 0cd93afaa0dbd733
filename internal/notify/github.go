package notify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

// GitHubOptions describe a repository whose issues tell.
type GitHubOptions struct {
	Base  string       // of the API; https://api.github.com by default
	Token secret.Value // may write issues of the repository
	Repo  string       // owner/name
	HTTP  *outbound.Client
	Now   func() time.Time
}

// GitHub opens an issue, comments on it when it goes on, and closes it when it is over
// (https://docs.github.com/rest/issues).
//
// GitHub knows no repetition, so every text carries a hidden mark with the ID of its message, and before anything is
// written the newest hundred issues with the label makegood, or comments of the issue, are looked through for it.
// Incidents have marks too: a message about an incident that has an open issue becomes a comment there. The RemoteID is the
// number of the issue.
type GitHub struct {
	service
	token  secret.Value
	repo   string
	closed memory
}

var (
	githubRepo  = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9_.-]{1,100}$`)
	githubIssue = regexp.MustCompile(`^[1-9][0-9]{0,9}$`)
)

const githubLabel = "makegood"

// NewGitHub makes the channel and connects to nothing.
func NewGitHub(o GitHubOptions) (*GitHub, error) {
	s, err := newService("github", o.Base, "https://api.github.com", o.HTTP, o.Now)
	switch {
	case err != nil:
		return nil, err
	case o.Token.Len() < 20 || o.Token.Len() > 255 || !isHeader(o.Token.Reveal()):
		return nil, refuse("github", "the token is not of 20 to 255 characters without blanks")
	case !githubRepo.MatchString(o.Repo) || strings.HasSuffix(o.Repo, "/.") || strings.HasSuffix(o.Repo, "/.."):
		return nil, refuse("github", "the repository does not have the form owner/name")
	}
	return &GitHub{service: s, token: o.Token, repo: o.Repo}, nil
}

type githubIssueText struct {
	Number int      `json:"number,omitempty"`
	State  string   `json:"state,omitempty"`
	Reason string   `json:"state_reason,omitempty"`
	Title  string   `json:"title,omitempty"`
	Body   string   `json:"body,omitempty"`
	Labels []string `json:"labels,omitempty"`
}

// githubFound is what is read of an issue or a comment.
type githubFound struct {
	Number int    `json:"number"`
	State  string `json:"state"`
	Body   string `json:"body"`
}

// Send closes what is over, and then opens or comments.
func (g *GitHub) Send(ctx context.Context, m Message) (Receipt, error) {
	touched := githubTouched(m.Earlier)
	if err := each(touched, func(issue Earlier) error { return g.update(ctx, issue, m) }); err != nil {
		return Receipt{}, err
	}
	if m.Kind == makegood.NoticeResolved && len(touched) == 0 {
		return Receipt{}, nil // nothing was ever opened
	}
	if m.Kind == makegood.NoticeResolved {
		return Receipt{RemoteID: touched[len(touched)-1].RemoteID}, nil
	}
	number, err := g.open(ctx, m)
	return Receipt{RemoteID: number}, err
}

// githubTouched lists the issues of the past, each once, with 0 as Open when all of it is over.
func githubTouched(earlier []Earlier) []Earlier {
	var issues []Earlier
	for _, e := range earlier {
		i := slices.IndexFunc(issues, func(known Earlier) bool { return known.RemoteID == e.RemoteID })
		switch {
		case !githubIssue.MatchString(e.RemoteID):
		case i >= 0:
			issues[i].Open += e.Open
		case len(issues) < closedMax:
			issues = append(issues, e)
		}
	}
	return issues
}

// update says in an issue what ended, and closes it when nothing is left open. An issue that is gone needs nothing.
func (g *GitHub) update(ctx context.Context, issue Earlier, m Message) error {
	if _, ok := g.closed.remembered(m.ID, issue.RemoteID); ok {
		return nil
	}
	path := "/repos/" + g.repo + "/issues/" + issue.RemoteID
	err := g.comment(ctx, path, m)
	if err == nil && issue.Open == 0 {
		_, err = g.call(ctx, g.json(ctx, http.MethodPatch, path, githubIssueText{State: "closed", Reason: "completed"}))
		err = undoubted(err)
	}
	var refused *Error
	if errors.As(err, &refused) && (refused.Status == http.StatusNotFound || refused.Status == http.StatusGone || refused.Status == http.StatusMovedPermanently) {
		err = nil // deleted, or moved to another repository
	}
	if err == nil {
		g.closed.remember(m.ID, issue.RemoteID, "")
	}
	return err
}

// comment writes m below an issue, unless it stands there.
func (g *GitHub) comment(ctx context.Context, path string, m Message) error {
	query := url.Values{"per_page": {strconv.Itoa(githubPage)}, "since": {m.At.UTC().Add(-time.Hour).Format(time.RFC3339)}}
	comments, err := g.list(ctx, path+"/comments?"+query.Encode())
	if err != nil {
		return err
	}
	if slices.ContainsFunc(comments, func(c githubFound) bool { return strings.Contains(c.Body, githubMark(m.ID)) }) {
		return nil
	}
	_, err = g.call(ctx, g.json(ctx, http.MethodPost, path+"/comments", githubIssueText{Body: githubBody(m)}))
	return err
}

// open makes an issue, unless it is there; an incident that has an open one gets a comment.
func (g *GitHub) open(ctx context.Context, m Message) (string, error) {
	path := "/repos/" + g.repo + "/issues"
	query := url.Values{"labels": {githubLabel}, "state": {"all"}, "sort": {"created"}, "direction": {"desc"}, "per_page": {strconv.Itoa(githubPage)}}
	issues, err := g.list(ctx, path+"?"+query.Encode())
	if err != nil {
		return "", err
	}
	for _, issue := range issues {
		if strings.Contains(issue.Body, githubMark(m.ID)) {
			return strconv.Itoa(issue.Number), nil
		}
	}
	for _, issue := range issues {
		if issue.State == "open" && slices.ContainsFunc(m.Incidents, func(id string) bool { return strings.Contains(issue.Body, githubMark(id)) }) {
			number := strconv.Itoa(issue.Number)
			return number, g.comment(ctx, path+"/"+number, m)
		}
	}
	resp, err := g.call(ctx, g.json(ctx, http.MethodPost, path, githubIssueText{Title: cut(oneLine(m.Title), githubTitleMax), Body: githubBody(m),
		Labels: []string{githubLabel, string(m.Priority)}}))
	if err != nil {
		return "", err
	}
	var made githubFound
	if json.Unmarshal(resp.Body, &made) != nil || made.Number <= 0 {
		return "", g.unread(resp)
	}
	return strconv.Itoa(made.Number), nil
}

// githubMark is invisible on the page.
func githubMark(id string) string { return "<!-- makegood:" + id + " -->" }

// githubMention keeps a text from calling people and from closing issues; a comment in it must not look like a mark.
var githubMention = strings.NewReplacer("@", "@\u200b", "#", "#\u200b", "<", "&lt;")

func githubBody(m Message) string {
	var b strings.Builder
	b.WriteString(cut(githubMention.Replace(m.Body), githubBodyMax) + "\n")
	if m.AckLink != "" {
		b.WriteString("\n[Acknowledge](" + m.AckLink + ")\n")
	}
	if m.Link != "" {
		b.WriteString("\n[Open](" + m.Link + ")\n")
	}
	b.WriteString("\n" + githubMark(m.ID))
	for _, id := range m.Incidents {
		b.WriteString(githubMark(id))
	}
	return b.String()
}

func (g *GitHub) list(ctx context.Context, path string) ([]githubFound, error) {
	resp, err := g.call(ctx, g.request(ctx, http.MethodGet, path, "", nil))
	if err != nil {
		return nil, err
	}
	var found []githubFound
	if json.Unmarshal(resp.Body, &found) != nil {
		return nil, undoubted(g.unread(resp))
	}
	return found, nil
}

// call calls the API. "Too often" comes as 403 or 429, with Retry-After, or with x-ratelimit-remaining 0 and the second of
// x-ratelimit-reset ("Rate limits for the REST API").
func (g *GitHub) call(ctx context.Context, req *http.Request) (*outbound.Response, error) {
	bearer(req, g.token)
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	resp, err := g.http.Do(ctx, req)
	if err == nil && (resp.Status == http.StatusForbidden || resp.Status == http.StatusTooManyRequests) {
		return nil, g.limited(resp)
	}
	return g.judge(req, resp, err, nil)
}

func (g *GitHub) limited(resp *outbound.Response) *Error {
	e := g.refusal(resp, "")
	if asked, ok := outbound.RetryAfter(resp.Header, g.now()); ok {
		e.Reason, e.RetryAfter = ReasonRateLimit, asked
	} else if resp.Header.Get("X-Ratelimit-Remaining") == "0" {
		e.Reason, e.RetryAfter = ReasonRateLimit, retryAfterUsual
		if at, err := strconv.ParseInt(resp.Header.Get("X-Ratelimit-Reset"), 10, 64); err == nil {
			e.RetryAfter = max(time.Unix(at, 0).Sub(g.now()), time.Second)
		}
	}
	e.RetryAfter = min(e.RetryAfter, retryAfterMax)
	return e
}

// Test reads the repository: it must have issues, not be archived, and let us write, as far as it says.
func (g *GitHub) Test(ctx context.Context) error {
	resp, err := g.call(ctx, g.request(ctx, http.MethodGet, "/repos/"+g.repo, "", nil))
	if err != nil {
		return err
	}
	var said struct {
		FullName    string          `json:"full_name"`
		Archived    bool            `json:"archived"`
		HasIssues   bool            `json:"has_issues"`
		Permissions map[string]bool `json:"permissions"`
	}
	if json.Unmarshal(resp.Body, &said) != nil || said.FullName == "" {
		return undoubted(g.unread(resp))
	}
	p := said.Permissions
	switch {
	case said.Archived:
		return &Error{Channel: g.kind, Reason: ReasonClient, Status: resp.Status, Code: "archived"}
	case !said.HasIssues:
		return &Error{Channel: g.kind, Reason: ReasonClient, Status: resp.Status, Code: "issues_disabled"}
	case p != nil && !p["push"] && !p["triage"] && !p["maintain"] && !p["admin"]:
		return &Error{Channel: g.kind, Reason: ReasonAuth, Status: resp.Status, Code: "no_write_permission"}
	}
	return nil
}
