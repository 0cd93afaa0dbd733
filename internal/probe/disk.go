package probe

import (
	"context"
	"errors"
	"io/fs"
	"sync/atomic"
	"time"
)

// DiskOptions say how to look at a disk.
type DiskOptions struct {
	Path       string
	Conditions []Condition
	Now        func() time.Time
}

// Disk looks how much room is left where a path is.
type Disk struct {
	options DiskOptions
	asking  atomic.Bool // a question to the kernel is open; a second one would only hang beside it
}

var _ Prober = (*Disk)(nil)

// NewDisk makes a prober.
func NewDisk(o DiskOptions) (*Disk, error) {
	if o.Path == "" {
		return nil, errors.New("the path is empty")
	}
	if err := checkAll(KindDisk, o.Conditions); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Disk{options: o}, nil
}

// Look asks the kernel once. A path that is not there is a trouble, because a disk that is not mounted is one; that the kernel
// cannot tell is Unknown.
func (d *Disk) Look(ctx context.Context) Sight {
	s := Sight{At: d.options.Now()}
	start := time.Now()
	room, err := d.measure(ctx)
	s.Took = time.Since(start)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.Trouble = "the path is not there"
	case errors.Is(err, context.DeadlineExceeded):
		s.Trouble = "the disk did not answer in time"
	case err != nil:
		s.Trouble, s.Unknown = "the room on the disk cannot be measured", true
	default:
		s.Trouble = judge(d.options.Conditions, &facts{free: room.percent(), freeBytes: room.free, hasFree: true}, nil)
	}
	return s
}

// measure waits no longer than ctx: a disk over the network can hang in the kernel, where nobody can interrupt it. The
// goroutine that hangs there ends when the kernel lets it go.
func (d *Disk) measure(ctx context.Context) (room, error) {
	type result struct {
		room room
		err  error
	}
	if !d.asking.CompareAndSwap(false, true) {
		return room{}, context.DeadlineExceeded
	}
	done := make(chan result, 1) // so that nobody has to wait for us
	go func() {
		defer d.asking.Store(false)
		r, err := statfs(d.options.Path)
		done <- result{r, err}
	}()
	select {
	case r := <-done:
		return r.room, r.err
	case <-ctx.Done():
		return room{}, ctx.Err()
	}
}

// room is in bytes: free is what a program without special rights may still write.
type room struct{ free, total uint64 }

func (r room) percent() float64 {
	if r.total == 0 {
		return 0
	}
	return 100 * float64(r.free) / float64(r.total)
}
