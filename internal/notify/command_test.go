package notify

import "testing"

func TestCommand(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string]string{"": "makegood incidents list", "--watcher watch.yaml": "makegood incidents list --watcher watch.yaml"} {
		if got := (Links{Flags: flags}).Command("incidents list"); got != want {
			t.Errorf("Command with %q = %q, want %q", flags, got, want)
		}
	}
}
