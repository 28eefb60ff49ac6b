// Runs scenarios of the official Go client against the server behind a NameServer address.
//
//	interop NAMESRV list                   prints the names that `all` stands for
//	interop NAMESRV all                    runs them, a few at a time
//	interop NAMESRV NAME[:ARGUMENT] ...    runs these, one after the other
//
// It prints one line per scenario, `ok NAME 0.8s` or `FAILED NAME 3.2s: REASON`, and exits with 1 when one failed.
// BROKER in the environment is the broker's address: this client creates topics there, it cannot ask for it.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/rlog"
)

const (
	// Most of a scenario's time is spent waiting for a delay or a retry.
	atOnce = 6
	// Longer than any scenario needs on a busy machine; one that takes longer hangs.
	scenarioTimeout = 400 * time.Second
	// How often a scenario is begun that fails while the server or this process stands still.
	triesAtMost = 3
)

type scenario struct {
	name string
	run  func(c *scene)
}

var scenarios = []scenario{
	// The slow ones first: a lock that nobody renews is held for a minute, and a client that is told to start elsewhere (from_first) waits 20 s before it does.
	{"orderly_lock_expiry", orderlyLockExpiry},
	{"from_first", fromFirst},
	{"takeover", takeover},
	{"orderly", orderly},
	{"delay_level", delayLevel},
	{"retry", retry},
	{"dlq", dlq},
	{"transaction_check", transactionCheck},
	{"transaction_commit", transactionCommit},
	{"timed", timed},
	{"timed_refused", timedRefused},
	{"sql_push", sqlPush},
	{"trace", trace},
	{"request_sync", requestSync},
	{"request_async", requestAsync},
	{"request_timeout", requestTimeout},
	{"compressed", compressed},
	{"from_timestamp", fromTimestamp},
	{"long_poll", longPoll},
	{"send_sync", sendSync},
	{"send_async", sendAsync},
	{"send_oneway", sendOneway},
	{"send_batch", sendBatch},
	{"auto_create", autoCreate},
	{"tags", tags},
	{"concurrent", concurrent},
	{"shared_group", sharedGroup},
	{"broadcasting", broadcasting},
	{"from_last", fromLast},
	{"young_topic", youngTopic},
}

// Not part of `all`: the second process of a scenario.
var onRequest = []scenario{{"member", member}, {"orderly_member", orderlyMember}}

var outMutex sync.Mutex

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: interop NAMESRV list|all|NAME[:ARGUMENT]...")
		os.Exit(2)
	}
	if os.Args[2] == "list" {
		for _, one := range scenarios {
			fmt.Println(one.name)
		}
		return
	}
	// It takes each rollback for an error, and prints the message.
	rlog.SetLogLevel("fatal")
	namesrv := os.Args[1]
	chosen := os.Args[2:]
	slots := 1
	// Scenarios that are named on the command line use fixed names, so they cannot be begun anew.
	var watched *stalls
	if chosen[0] == "all" {
		slots = atOnce
		watched = watchStalls(namesrv)
		chosen = nil
		for _, one := range scenarios {
			chosen = append(chosen, one.name)
		}
	}
	queue := make(chan string)
	failed := make(chan bool, len(chosen))
	var workers sync.WaitGroup
	for i := 0; i < slots; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for one := range queue {
				failed <- !runOne(namesrv, one, watched)
			}
		}()
	}
	for _, one := range chosen {
		queue <- one
	}
	close(queue)
	workers.Wait()
	close(failed)
	for one := range failed {
		if one {
			os.Exit(1)
		}
	}
}

func runOne(namesrv, one string, watched *stalls) bool {
	name, argument, _ := strings.Cut(one, ":")
	var run func(*scene)
	for _, known := range append(append([]scenario{}, scenarios...), onRequest...) {
		if known.name == name {
			run = known.run
		}
	}
	if run == nil {
		say("FAILED %s 0.0s: there is no such scenario", one)
		return false
	}
	for tries := 1; ; tries++ {
		start := time.Now()
		reason, final := runOnce(newScene(namesrv, name, argument), run)
		stall := watched.longestSince(start)
		took := time.Since(start).Seconds()
		switch {
		case reason == "":
			say("ok %s %.1fs", one, took)
			return true
		case final || stall == 0 || tries == triesAtMost:
			say("FAILED %s %.1fs: %s", one, took, reason)
			return false
		}
		say("begun anew, as nothing went on for %v: %s %.1fs: %s", stall, one, took, reason)
	}
}

// Why it failed, if it did, and whether no stall excuses that.
func runOnce(c *scene, run func(*scene)) (reason string, final bool) {
	type end struct {
		reason string
		final  bool
	}
	ends := make(chan end, 1)
	go func() {
		defer func() {
			switch reason := recover().(type) {
			case nil:
				ends <- end{}
			case failure:
				ends <- end{string(reason), false}
			case wrong:
				ends <- end{string(reason), true}
			default:
				ends <- end{fmt.Sprintf("%v\n%s", reason, debug.Stack()), false}
			}
		}()
		run(c)
	}()
	select {
	case ended := <-ends:
		reason, final = ended.reason, ended.final
	case <-time.After(scenarioTimeout):
		reason = fmt.Sprintf("no end after %v", scenarioTimeout)
	}
	c.close()
	return reason, final
}

func say(format string, arguments ...interface{}) {
	outMutex.Lock()
	defer outMutex.Unlock()
	fmt.Printf(format+"\n", arguments...)
}
