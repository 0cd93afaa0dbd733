package config

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

// What the system says of a file that may not be opened is told in our words. Root may open everything, so the error is
// made here.
func TestFileSentence(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&fs.PathError{Op: "open", Path: "makegood.yaml", Err: fs.ErrPermission}, "the configuration file may not be read by this user"},
		{fmt.Errorf("open: %w", fs.ErrNotExist), "the configuration file does not exist; makegood init writes one to start from"},
	} {
		if got := fileSentence(tt.err); got != tt.want {
			t.Errorf("fileSentence(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
	if fileSentence(errors.New("input/output error")) == "" {
		t.Error("fileSentence of another error says nothing")
	}
}
