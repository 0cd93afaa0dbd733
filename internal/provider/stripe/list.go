package stripe

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/extract"
)

// page asks for one page of a list, newest first, and whether there are more in the direction of paging. A page that
// promises more and is empty is an error, because asking again would give it again, without end.
func (s *Stripe) page(ctx context.Context, path string, query url.Values) (items []gjson.Result, more bool, err error) {
	return s.pageOf(ctx, call{method: http.MethodGet, path: path, query: query})
}

func (s *Stripe) pageOf(ctx context.Context, c call) (items []gjson.Result, more bool, err error) {
	answer, err := s.do(ctx, c)
	if err != nil {
		return nil, false, err
	}
	if !answer.Get("data").IsArray() {
		return nil, false, makegood.Errorf(makegood.ProviderFailed, "Stripe answered with something that is no list.")
	}
	items, more = answer.Get("data").Array(), answer.Get("has_more").Type == gjson.True
	if more && len(items) == 0 {
		return nil, false, makegood.Errorf(makegood.ProviderFailed, "Stripe says that there are more in a list, and gives none.")
	}
	return items, more, nil
}

// forward moves a cursor of a list. One that stays where it was would ask for the same page without end.
func forward(query url.Values, cursor, id string) error {
	if id == "" || query.Get(cursor) == id {
		return makegood.Errorf(makegood.ProviderFailed, "Stripe's list does not go on from where it was.")
	}
	query.Set(cursor, id)
	return nil
}

func lastID(items []gjson.Result) string { return extract.Identifier(items[len(items)-1].Get("id")) }

// rest pages through a list after the items that are known. It stops when there are more than limit, which the caller then
// refuses, so that its number of calls is bounded as long as Stripe fills its pages.
func (s *Stripe) rest(ctx context.Context, path string, query url.Values, items []gjson.Result, limit int) ([]gjson.Result, error) {
	query = maps.Clone(query)
	query.Set("limit", fmt.Sprint(pageSize))
	for more := true; more && len(items) <= limit; {
		if len(items) > 0 {
			if err := forward(query, "starting_after", lastID(items)); err != nil {
				return nil, err
			}
		}
		var added []gjson.Result
		var err error
		if added, more, err = s.page(ctx, path, query); err != nil {
			return nil, err
		}
		items = append(items, added...)
	}
	return items, nil
}
