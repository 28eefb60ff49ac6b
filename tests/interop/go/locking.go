package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// Starts a second process of this program, which can be killed, and hears what it got. It ends with this process.
func (c *scene) other(scenario string, heard func(label string, i, queue int)) (kill func()) {
	own, err := os.Executable()
	must(err, "the path of this program")
	other := exec.Command(own, c.namesrv, scenario)
	other.Stderr = os.Stderr
	output, err := other.StdoutPipe()
	must(err, "the other member's output")
	// It ends when this pipe is closed, and so with this process.
	_, err = other.StdinPipe()
	must(err, "the other member's input")
	must(other.Start(), "the start of the other member")
	c.onClose(func() { _ = other.Process.Kill() })
	go func() {
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			var label string
			var i, queue int
			if n, _ := fmt.Sscanf(lines.Text(), "got %s %d %d", &label, &i, &queue); n == 3 {
				heard(label, i, queue)
			}
		}
	}()
	return func() {
		must(other.Process.Kill(), "the kill of the other member")
		_ = other.Wait()
	}
}

// In the other process: tells the first what came.
func sayGot(messages []*primitive.MessageExt) {
	for _, message := range messages {
		label := message.GetKeys()[:strings.LastIndex(message.GetKeys(), "-")]
		say("got %s %d %d", label, number(message), message.Queue.QueueId)
	}
}

// A member is killed while it has work in its queues and their locks. The other gets them when the locks expire, a
// minute after they were last renewed, and goes on in order: nothing is left out.
func orderlyLockExpiry(c *scene) {
	topic, group := c.topic("t", 4), c.name("g")
	var mutex sync.Mutex
	itsLast := map[int]int{}
	kill := c.other("orderly_member:"+topic+","+group, func(label string, i, queue int) {
		mutex.Lock()
		defer mutex.Unlock()
		if label == "lock" {
			itsLast[queue] = i
		} else if itsLast[queue] == 0 {
			itsLast[queue] = -1
		}
	})
	reached := func() map[int]int {
		mutex.Lock()
		defer mutex.Unlock()
		copied := map[int]int{}
		for queue, last := range itsLast {
			copied[queue] = last
		}
		return copied
	}
	var kept recorder
	mine := c.consume(group, topic, all, kept.listener(), consumer.WithConsumerOrder(true))
	rebalance := mine.(interface{ Rebalance() }).Rebalance
	split(c, topic, func() [2]map[int]bool {
		rebalance()
		its := map[int]bool{}
		for queue := range reached() {
			its[queue] = true
		}
		return [2]map[int]bool{kept.queues(), its}
	}, func() {
		mutex.Lock()
		defer mutex.Unlock()
		itsLast = map[int]int{}
		kept.clear()
	})
	kept.clear()
	c.sendByQueue(topic, "lock", 0, 80)
	await("work under way in the other's queues", func() bool {
		its := reached()
		for _, last := range its {
			if last < 20 {
				return false
			}
		}
		return len(its) == 2
	})
	kill()
	its := reached()
	c.sendByQueue(topic, "lock", 80, 120)
	awaitFor(80*time.Second, "the last messages of all queues", func() bool {
		// A client left alone tries again every 20 s only.
		rebalance()
		got := kept.numbers()
		return got[116] > 0 && got[117] > 0 && got[118] > 0 && got[119] > 0
	})
	next := map[int]int{}
	for _, one := range kept.deliveries() {
		if !strings.HasPrefix(one.message.GetKeys(), "lock-") {
			continue
		}
		i, queue := number(one.message), one.message.Queue.QueueId
		verify(one.message, sample(topic, "lock", i))
		if _, begun := next[queue]; !begun {
			if last, was := its[queue]; was {
				check(i <= last+4, "queue %d goes on at %d, the dead member had got to %d", queue, i, last)
				say("queue %d: %d delivered again", queue, (last+4-i)/4)
			} else {
				equal(queue, i, "the first of a queue that was not taken over")
			}
			next[queue] = i
		}
		equal(next[queue], i, fmt.Sprintf("the next of queue %d", queue))
		next[queue] += 4
	}
	equal(4, len(next), "queues")
}

// The other process: takes its time over each message, so that it dies with work under way.
func orderlyMember(c *scene) {
	topic, group, _ := strings.Cut(c.argument, ",")
	own := c.consume(group, topic, all, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		sayGot(messages)
		time.Sleep(100 * time.Millisecond)
		return consumer.ConsumeSuccess, nil
	}, consumer.WithConsumerOrder(true), consumer.WithConsumeMessageBatchMaxSize(1))
	go func() {
		// Left alone it tries again every 20 s only when a lock was held by the other.
		for {
			own.(interface{ Rebalance() }).Rebalance()
			time.Sleep(500 * time.Millisecond)
		}
	}()
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
}
