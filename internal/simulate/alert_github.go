package simulate

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// The token and the repository of a pretend GitHub.
const (
	GitHubToken = "ghp_simulatedsimulatedsimulatedsimul0001"
	GitHubRepo  = "shop/incidents"
)

// GitHubIssue is an issue with its comments.
type GitHubIssue struct {
	Number    int       `json:"number"`
	State     string    `json:"state"` // open or closed
	Title     string    `json:"title"`
	Body      string    `json:"body"`
	Labels    []string  `json:"-"`
	Comments  []string  `json:"-"`
	CreatedAt time.Time `json:"created_at"`

	commented []time.Time
}

// GitHub is a pretend GitHub with one repository and its issues. It makes a second issue of the same request, as the real
// one does.
type GitHub struct {
	*alertDesk
	issues   []GitHubIssue
	archived bool
}

// NewGitHub returns a repository without issues.
func NewGitHub(o AlertOptions) *GitHub {
	g := &GitHub{alertDesk: newAlertDesk("github", o, githubRefusal)}
	mux := http.NewServeMux()
	base := "/repos/{owner}/{name}"
	for pattern, act := range map[string]func(*http.Request) alertAnswer{
		"GET " + base: g.repository, "GET " + base + "/issues": g.list, "POST " + base + "/issues": g.open,
		"PATCH " + base + "/issues/{number}": g.change, "GET " + base + "/issues/{number}/comments": g.comments,
		"POST " + base + "/issues/{number}/comments": g.comment,
	} {
		mux.HandleFunc(pattern, alertHandler(func(r *http.Request) alertAnswer {
			if !hasBearer(r, GitHubToken) {
				return githubRefusal(g.alertDesk, r, http.StatusUnauthorized)
			}
			if r.PathValue("owner")+"/"+r.PathValue("name") != GitHubRepo {
				return githubRefusal(g.alertDesk, r, http.StatusNotFound)
			}
			return act(r)
		}))
	}
	mux.HandleFunc("/", alertHandler(func(r *http.Request) alertAnswer { return githubRefusal(g.alertDesk, r, http.StatusNotFound) }))
	g.handler = mux
	return g
}

// Issues lists the issues, oldest first.
func (g *GitHub) Issues() []GitHubIssue {
	g.mu.Lock()
	defer g.mu.Unlock()
	issues := slices.Clone(g.issues)
	for i := range issues {
		issues[i].Labels, issues[i].Comments = slices.Clone(issues[i].Labels), slices.Clone(issues[i].Comments)
	}
	return issues
}

// Archive makes the repository read-only.
func (g *GitHub) Archive() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.archived = true
}

// Delete removes an issue, as an owner can.
func (g *GitHub) Delete(number int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.issues = slices.DeleteFunc(g.issues, func(i GitHubIssue) bool { return i.Number == number })
}

var githubTexts = map[int]string{401: "Bad credentials", 403: "Resource not accessible by personal access token", 404: "Not Found",
	410: "Issues are disabled for this repo", 422: "Validation Failed", 429: "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}

func githubRefusal(d *alertDesk, _ *http.Request, status int) alertAnswer {
	text := githubTexts[status]
	if text == "" {
		text = "Server Error"
	}
	return alertAnswer{status, d.waiting(status), map[string]any{"message": text, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status)}}
}

func (g *GitHub) repository(*http.Request) alertAnswer {
	g.mu.Lock()
	defer g.mu.Unlock()
	return alertAnswer{body: map[string]any{"full_name": GitHubRepo, "archived": g.archived, "has_issues": true,
		"permissions": map[string]bool{"admin": false, "push": true, "pull": true}}}
}

// list pages newest first, by a label.
func (g *GitHub) list(r *http.Request) alertAnswer {
	q := r.URL.Query()
	limit, err := strconv.Atoi(q.Get("per_page"))
	if err != nil || limit > 100 {
		limit = 30
	}
	found := []GitHubIssue{}
	for _, i := range slices.Backward(g.Issues()) {
		isAsked := (q.Get("state") == "all" || i.State == "open") && (q.Get("labels") == "" || slices.Contains(i.Labels, q.Get("labels")))
		if isAsked && len(found) < limit {
			found = append(found, i)
		}
	}
	return alertAnswer{body: found}
}

type githubRequest struct {
	Title  string   `json:"title"`
	Body   string   `json:"body"`
	Labels []string `json:"labels"`
	State  string   `json:"state"`
}

func (g *GitHub) open(r *http.Request) alertAnswer {
	var in githubRequest
	if json.NewDecoder(r.Body).Decode(&in) != nil || in.Title == "" || len([]rune(in.Title)) > 256 || len(in.Body) > 65536 {
		return githubRefusal(g.alertDesk, r, http.StatusUnprocessableEntity)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.archived {
		return alertAnswer{http.StatusForbidden, nil, map[string]any{"message": "Repository was archived so is read-only."}}
	}
	number := 1
	if n := len(g.issues); n > 0 {
		number = g.issues[n-1].Number + 1
	}
	issue := GitHubIssue{Number: number, State: "open", Title: in.Title, Body: in.Body, Labels: in.Labels, CreatedAt: g.now().UTC()}
	g.issues = append(g.issues, issue)
	g.took(strconv.Itoa(number), "open", in.Title)
	return alertAnswer{status: http.StatusCreated, body: issue}
}

// with does something with the issue of the path. The lock is held while it does.
func (g *GitHub) with(r *http.Request, do func(*GitHubIssue) alertAnswer) alertAnswer {
	number, err := strconv.Atoi(r.PathValue("number"))
	g.mu.Lock()
	i := slices.IndexFunc(g.issues, func(i GitHubIssue) bool { return i.Number == number })
	if err != nil || i < 0 {
		g.mu.Unlock()
		return githubRefusal(g.alertDesk, r, http.StatusNotFound)
	}
	defer g.mu.Unlock()
	return do(&g.issues[i])
}

func (g *GitHub) change(r *http.Request) alertAnswer {
	var in githubRequest
	if json.NewDecoder(r.Body).Decode(&in) != nil || in.State != "open" && in.State != "closed" {
		return githubRefusal(g.alertDesk, r, http.StatusUnprocessableEntity)
	}
	return g.with(r, func(i *GitHubIssue) alertAnswer {
		if i.State != in.State {
			g.took(strconv.Itoa(i.Number), map[string]string{"open": "reopen", "closed": "close"}[in.State], i.Title)
		}
		i.State = in.State
		return alertAnswer{body: *i}
	})
}

func (g *GitHub) comments(r *http.Request) alertAnswer {
	since, _ := time.Parse(time.RFC3339, r.URL.Query().Get("since")) // none is all
	return g.with(r, func(i *GitHubIssue) alertAnswer {
		found := []map[string]any{}
		for k, body := range i.Comments {
			if !i.commented[k].Before(since) {
				found = append(found, map[string]any{"id": k + 1, "body": body})
			}
		}
		return alertAnswer{body: found}
	})
}

func (g *GitHub) comment(r *http.Request) alertAnswer {
	var in githubRequest
	if json.NewDecoder(r.Body).Decode(&in) != nil || in.Body == "" {
		return githubRefusal(g.alertDesk, r, http.StatusUnprocessableEntity)
	}
	return g.with(r, func(i *GitHubIssue) alertAnswer {
		i.Comments, i.commented = append(i.Comments, in.Body), append(i.commented, g.now().UTC())
		g.took(strconv.Itoa(i.Number), "comment", in.Body)
		return alertAnswer{status: http.StatusCreated, body: map[string]any{"id": len(i.Comments)}}
	})
}
