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

// Starts a second process of this program, which can be killed, and hears what it got, all of it when it was killed. It
// ends with this process.
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
	heardAll := make(chan bool)
	go func() {
		defer close(heardAll)
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
		<-heardAll
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
//
// The other joins after that: this client keeps its locks of queues that a new member takes over.
func orderlyLockExpiry(c *scene) {
	topic, group := c.topic("t", 4), c.name("g")
	var mutex sync.Mutex
	reached := map[int]int{}
	kill := c.other("orderly_member:"+topic+","+group, func(_ string, i, queue int) {
		mutex.Lock()
		defer mutex.Unlock()
		reached[queue] = i
	})
	c.sendByQueue(topic, "lock", 0, 80)
	await("work under way in all queues", func() bool {
		mutex.Lock()
		defer mutex.Unlock()
		for _, last := range reached {
			if last < 20 {
				return false
			}
		}
		return len(reached) == 4
	})
	kill()
	killed := time.Now()
	c.sendByQueue(topic, "lock", 80, 120)
	var kept recorder
	c.consume(group, topic, all, kept.listener(), consumer.WithConsumerOrder(true))
	// It tries again every 20 s, and where it were told to by us as well it would read a queue twice.
	await("the last messages of all queues", func() bool {
		got := kept.numbers()
		return got[116] > 0 && got[117] > 0 && got[118] > 0 && got[119] > 0
	})
	// The dead one renewed its locks every 20 s, or a little later where it was held up.
	waited := kept.deliveries()[0].at.Sub(killed)
	check(waited > 20*time.Second, "the locks were handed on after %v", waited)
	next := map[int]int{}
	for _, one := range kept.deliveries() {
		i, queue := number(one.message), one.message.Queue.QueueId
		verify(one.message, sample(topic, "lock", i))
		if _, begun := next[queue]; !begun {
			last := reached[queue]
			check(i <= last+4, "queue %d goes on at %d, the dead member had got to %d", queue, i, last)
			say("queue %d: %d delivered again", queue, (last+4-i)/4)
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
	c.consume(group, topic, all, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		sayGot(messages)
		time.Sleep(100 * time.Millisecond)
		return consumer.ConsumeSuccess, nil
	}, consumer.WithConsumerOrder(true), consumer.WithConsumeMessageBatchMaxSize(1))
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
}
