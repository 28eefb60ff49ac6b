package main

import (
	"context"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// Shorter than any time after which this client or the server does something else: the client makes a send that takes
// three seconds again.
const longStall = 1800 * time.Millisecond

// How long this process or the server stood still: small requests, one after the other, each of which takes
// milliseconds while both run.
type stalls struct {
	mutex sync.Mutex
	begun time.Time
	long  []stall
}

type stall struct {
	ended time.Time
	took  time.Duration
}

// Watches until the process ends.
func watchStalls(namesrv string) *stalls {
	asker, err := admin.NewAdmin(admin.WithResolver(primitive.NewPassthroughResolver([]string{namesrv})))
	must(err, "the client that watches for stalls")
	s := &stalls{begun: time.Now()}
	go func() {
		for {
			// A failure is told by the time that it took. Routes this client would ask for once only.
			_, _ = asker.FetchAllTopicList(context.Background())
			time.Sleep(100 * time.Millisecond)
			s.next()
		}
	}()
	return s
}

func (s *stalls) next() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	now := time.Now()
	if took := now.Sub(s.begun); took >= longStall {
		s.long = append(s.long, stall{now, took})
	}
	s.begun = now
}

// The longest one that had not ended at this moment, or 0; the current one counts.
func (s *stalls) longestSince(start time.Time) time.Duration {
	if s == nil {
		return 0
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	longest := time.Since(s.begun)
	for _, one := range s.long {
		if one.ended.After(start) && one.took > longest {
			longest = one.took
		}
	}
	if longest < longStall {
		return 0
	}
	return longest
}
