// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/decisions"
)

func TestDecisionsAreListed(t *testing.T) {
	handler := decisions.Identify(decisions.HandlerInfo{Name: "gluu_oauth_pep"})
	for _, path := range []string{"/a", "/b", "/c"} {
		decisions.Recent.Add(&decisions.Refused{
			RequestID: t.Name() + path, Host: t.Name(), Path: path, Handler: handler, Status: 403, Reason: "no_rule", Error: "access_denied",
		})
	}
	var got struct {
		Decisions []decisions.Decision `json:"decisions"`
		Before    uint64               `json:"before"`
	}
	get(t, "/gluu/decisions?limit=2&host="+t.Name(), &got)
	if len(got.Decisions) != 2 || got.Decisions[0].Path != "/c" || got.Decisions[1].Path != "/b" || got.Before != got.Decisions[1].Number {
		t.Fatalf("got %+v", got)
	}
	var rest struct {
		Decisions []decisions.Decision `json:"decisions"`
	}
	get(t, "/gluu/decisions?host="+t.Name()+"&before="+strconv.FormatUint(got.Before, 10), &rest)
	if len(rest.Decisions) != 1 || rest.Decisions[0].Path != "/a" {
		t.Errorf("the next page is %+v", rest)
	}
	var why struct {
		RequestID string `json:"request_id"`
		Decisions []struct {
			Reason    string           `json:"reason"`
			Chain     []decisions.Step `json:"chain"`
			Meaning   string           `json:"meaning"`
			Fix       string           `json:"who_can_fix_it"`
			ForClient string           `json:"for_client"`
		} `json:"decisions"`
	}
	get(t, "/gluu/decisions/"+t.Name()+"%2Fb", &why)
	if len(why.Decisions) != 1 || why.RequestID != t.Name()+"/b" || why.Decisions[0].Reason != "no_rule" || why.Decisions[0].Meaning != "no rule covers this path and method" ||
		why.Decisions[0].Fix == "" || !strings.Contains(why.Decisions[0].ForClient, "403 access_denied") || len(why.Decisions[0].Chain) != 1 {
		t.Errorf("got %+v", why)
	}
}

func TestQuestionsAboutDecisionsThatAreRefused(t *testing.T) {
	for target, want := range map[string]struct {
		status int
		text   string
	}{
		"/gluu/decisions?limit=0":           {400, `limit is a number from 1 to 1000, not "0"`},
		"/gluu/decisions?limit=many":        {400, `not "many"`},
		"/gluu/decisions?reasn=x":           {400, `decisions cannot be selected by "reasn"`},
		"/gluu/decisions?reason=":           {400, "reason needs one value"},
		"/gluu/decisions?reason=a&reason=b": {400, "reason needs one value"},
		"/gluu/decisions?status=forbidden":  {400, `not "forbidden"`},
		"/gluu/decisions?dry_run=maybe":     {400, `not "maybe"`},
		"/gluu/decisions?since=yesterday":   {400, `not "yesterday"`},
		"/gluu/decisions?since=-5m":         {400, `not "-5m"`},
		"/gluu/decisions?before=0":          {400, `not "0"`},
		"/gluu/decisions/no-such-id":        {404, `no refusal of a request with the id "no-such-id" is remembered`},
	} {
		t.Run(target, func(t *testing.T) {
			if status, body := caddytest.Admin(t, "GET", target, ""); status != want.status || !strings.Contains(body, want.text) {
				t.Errorf("got %d %s, want %d %s", status, body, want.status, want.text)
			}
		})
	}
	for _, target := range []string{"/gluu/decisions", "/gluu/decisions/x"} {
		if status, _ := caddytest.Admin(t, "DELETE", target, ""); status != http.StatusMethodNotAllowed {
			t.Errorf("DELETE %s: got %d", target, status)
		}
	}
}

// A filter by time accepts a duration and a time.
func TestDecisionsSince(t *testing.T) {
	decisions.Recent.Add(&decisions.Refused{Host: t.Name()})
	for since, want := range map[string]int{"1h": 1, "2000-01-01T00:00:00Z": 1, "2999-01-01T00:00:00Z": 0} {
		var got struct {
			Decisions []decisions.Decision `json:"decisions"`
		}
		if get(t, "/gluu/decisions?host="+t.Name()+"&since="+since, &got); len(got.Decisions) != want {
			t.Errorf("since %s: got %d, want %d", since, len(got.Decisions), want)
		}
	}
}

func TestDecisionsAreFollowed(t *testing.T) {
	server := httptest.NewServer(caddytest.AdminMux(t, decisionsAPI{}.Routes()))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/gluu/decisions?host="+t.Name(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("got %s", got)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Scan() // the first comment: the tail is there
	decisions.Recent.Add(&decisions.Refused{Host: "another", RequestID: "other"})
	decisions.Recent.Add(&decisions.Refused{Host: t.Name(), RequestID: "followed", Path: "/<b>\nid: 7\n\u202e"})
	var event []string
	for lines.Scan() && (lines.Text() != "" || len(event) == 0) {
		if lines.Text() != "" {
			event = append(event, lines.Text())
		}
	}
	if len(event) != 3 || event[0] != "event: decision" || !strings.HasPrefix(event[1], "id: ") {
		t.Fatalf("got the event %q", event)
	}
	var d decisions.Decision
	if err := json.Unmarshal([]byte(strings.TrimPrefix(event[2], "data: ")), &d); err != nil || d.RequestID != "followed" || d.Path != "/<b>\nid: 7\n\u202e" {
		t.Errorf("got %q, error %v", event[2], err)
	}
}

// Each client holds a goroutine; no number of them may.
func TestFollowersAreLimited(t *testing.T) {
	for range maxTails {
		tailSlots <- struct{}{}
	}
	defer func() {
		for range maxTails {
			<-tailSlots
		}
	}()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/gluu/decisions", nil)
	r.Header.Set("Accept", "text/event-stream")
	if err := listDecisions(w, r); err == nil || !strings.Contains(err.Error(), "20 clients") {
		t.Errorf("got %v", err)
	}
}
