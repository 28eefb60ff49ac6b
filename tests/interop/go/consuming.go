package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// How late a delivery may be on a busy machine.
const late = time.Minute

// Every message once and whole; a restarted consumer goes on where its group stopped.
func concurrent(c *scene) {
	topic, group := c.topic("t", 4), c.name("g")
	c.sendRange(topic, "concurrent", 0, 200)
	var first recorder
	running := c.consume(group, topic, all, first.listener())
	await("200 deliveries", func() bool { return first.count() >= 200 })
	c.sendRange(topic, "concurrent", 200, 260)
	await("260 deliveries", func() bool { return first.count() >= 260 })
	first.verifyOnce(topic, "concurrent", 0, 260)
	shutDown(running, topic)

	var second recorder
	c.consume(group, topic, all, second.listener(), consumer.WithConsumeMessageBatchMaxSize(8))
	c.sendRange(topic, "concurrent", 260, 300)
	await("40 more deliveries", func() bool { return second.count() >= 40 })
	second.verifyOnce(topic, "concurrent", 260, 300)
}

// Commits what was consumed, then stops. The listener is handed the last message before that counts as consumed.
func shutDown(running rocketmq.PushConsumer, topic string) {
	await("the end of what was consumed", func() bool { return running.GetOffsetDiffMap()[topic] == 0 })
	_ = running.(interface{ PersistConsumerOffset() error }).PersistConsumerOffset()
	must(running.Shutdown(), "the stop of a consumer")
}

// Only subscribed tags arrive, also where another tag has the same hash.
func tags(c *scene) {
	topic, group := c.topic("t", 2), c.name("g")
	// This client hashes UTF-8, the servers UTF-16: so only ASCII here.
	names := []string{"TagA", "TagB", "TagC", "Aa", "BB", ""}
	for i := 0; i < 120; i++ {
		message := sample(topic, "tags", i)
		message.RemoveProperty("TAGS")
		message.WithTag(names[i%len(names)])
		c.send(message)
	}
	var kept recorder
	c.consume(group, topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "TagA || TagC || Aa"}, kept.listener())
	await("60 deliveries", func() bool { return kept.count() >= 60 })
	c.sendRange(topic, "tags", 120, 123)
	await("TagA and TagC of three more", func() bool { return kept.count() >= 62 })
	equal(62, kept.count(), "deliveries")
	for _, one := range kept.deliveries() {
		tag := one.message.GetTags()
		check(tag == "TagA" || tag == "TagC" || tag == "Aa", "a message of tag %q was delivered", tag)
	}
}

// Per queue strictly in order, and one at a time.
func orderly(c *scene) {
	topic := c.topic("t", 4)
	c.sendByQueue(topic, "orderly", 0, 120)
	var kept recorder
	var mutex sync.Mutex
	busy := map[int]bool{}
	overlap := ""
	c.consume(c.name("g"), topic, all, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		queue := messages[0].Queue.QueueId
		mutex.Lock()
		if busy[queue] {
			overlap = messages[0].GetKeys()
		}
		busy[queue] = true
		mutex.Unlock()
		kept.record(messages...)
		mutex.Lock()
		busy[queue] = false
		mutex.Unlock()
		return consumer.ConsumeSuccess, nil
	}, consumer.WithConsumerOrder(true))
	await("120 deliveries", func() bool { return kept.count() >= 120 })
	c.sendByQueue(topic, "orderly", 120, 160)
	await("160 deliveries", func() bool { return kept.count() >= 160 })
	kept.verifyOnce(topic, "orderly", 0, 160)
	check(overlap == "", "a queue was consumed by two at once, at %s", overlap)
	next := map[int]int{0: 0, 1: 1, 2: 2, 3: 3}
	for _, one := range kept.deliveries() {
		queue := one.message.Queue.QueueId
		equal(next[queue], number(one.message), fmt.Sprintf("the next of queue %d", queue))
		next[queue] += 4
	}
}

// A parked pull is answered when a message comes, not at the next look at the clock.
func longPoll(c *scene) {
	topic := c.topic("t", 1)
	var kept recorder
	c.consume(c.name("g"), topic, all, kept.listener())
	var waits []time.Duration
	since := time.Now()
	// Three in a row: a look at the clock every second or more rarely comes half a second or more after each send,
	// unless this process is held up before it.
	for quick := 0; quick < 3; {
		check(time.Since(since) < patience, "deliveries into a parked pull took %v", waits)
		// The pull has to be parked for this to mean anything, and no call tells when it is.
		time.Sleep(500 * time.Millisecond)
		start, i := time.Now(), len(waits)
		c.send(sample(topic, "poll", i))
		await("a delivery", func() bool { return kept.count() == i+1 })
		waits = append(waits, kept.deliveries()[i].at.Sub(start))
		quick++
		if waits[i] >= 300*time.Millisecond {
			quick = 0
		}
	}
	kept.verifyOnce(topic, "poll", 0, len(waits))
}

// Each level is kept to, and queue and properties are those that were sent.
func delayLevel(c *scene) {
	topic := c.topic("t", 4)
	var kept recorder
	c.consume(c.name("g"), topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "TagA"}, kept.listener())
	levels := []int{0, 1, 2, 99}
	delays := []time.Duration{0, time.Second, 3 * time.Second, 2 * time.Second}
	sent := make([]time.Time, len(levels))
	for i, level := range levels {
		message := sample(topic, "delay", 3*i)
		message.Queue = c.queues(topic)[3]
		if level > 0 {
			message.WithDelayTimeLevel(level)
		}
		sent[i] = time.Now()
		equal(3, c.send(message).MessageQueue.QueueId, "the queue in the answer")
	}
	await("the delayed messages", func() bool { return kept.count() >= len(levels) })
	kept2 := kept.deliveries()
	equal(len(levels), len(kept2), "deliveries")
	for i, level := range levels {
		one := kept.of(key("delay", 3*i))[0]
		verify(one.message, sample(topic, "delay", 3*i))
		equal(3, one.message.Queue.QueueId, "the queue of a delayed message")
		took := one.at.Sub(sent[i])
		// The server counts whole milliseconds from its own stamp.
		check(took >= delays[i]-2*time.Millisecond && took < delays[i]+late, "level %d came after %v", level, took)
	}
}

// What fails comes again after its level's time, under its own topic, with its parts and a counted try.
func retry(c *scene) {
	topic, group := c.topic("t", 1), c.name("g")
	tries := []int{1, 3, 3, 2}
	var kept recorder
	joined := c.consume(group, topic, all, func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		kept.record(messages...)
		i, try := number(messages[0]), int(messages[0].ReconsumeTimes)
		if i == 3 {
			consuming, _ := primitive.GetConcurrentlyCtx(ctx)
			consuming.DelayLevelWhenNextConsume = 2
		}
		if try+1 == tries[i] {
			return consumer.ConsumeSuccess, nil
		}
		return consumer.ConsumeRetryLater, nil
	}, consumer.WithConsumeMessageBatchMaxSize(1))
	c.joinRetryQueue(joined, group)
	var answers []*primitive.SendResult
	for i := 0; i < 4; i++ {
		answers = append(answers, c.send(sample(topic, "retry", i)))
	}
	gaps := []time.Duration{0, time.Second, time.Second, 3 * time.Second}
	await("the retries", func() bool { return len(kept.firsts()) >= 9 })
	for i := range tries {
		var deliveries []delivery
		for _, one := range kept.firsts() {
			if number(one.message) == i {
				deliveries = append(deliveries, one)
			}
		}
		equal(tries[i], len(deliveries), fmt.Sprintf("tries of %d", i))
		for at, one := range deliveries {
			which := fmt.Sprintf("delivery %d of %d, ", at, i)
			verify(one.message, sample(topic, "retry", i))
			equal(at, one.message.ReconsumeTimes, which+"reconsume times")
			equal(answers[i].MsgID, one.message.MsgId, which+"message id")
			if at > 0 {
				equal(topic, one.message.GetProperty("RETRY_TOPIC"), which+"property RETRY_TOPIC")
				gap := one.at.Sub(deliveries[at-1].at)
				check(gap >= gaps[i]-2*time.Millisecond && gap < gaps[i]+late, "%scame after %v", which, gap)
			}
		}
	}
}

// After its tries a message is in the group's dead-letter topic, at once when the consumer says so.
func dlq(c *scene) {
	topic, group := c.topic("t", 1), c.name("g")
	var kept recorder
	joined := c.consume(group, topic, all, func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		kept.record(messages...)
		if number(messages[0]) == 2 {
			consuming, _ := primitive.GetConcurrentlyCtx(ctx)
			consuming.DelayLevelWhenNextConsume = -1
		}
		return consumer.ConsumeRetryLater, nil
	}, consumer.WithConsumeMessageBatchMaxSize(1), consumer.WithMaxReconsumeTimes(1))
	c.joinRetryQueue(joined, group)
	c.sendRange(topic, "dlq", 0, 3)
	dead := "%DLQ%" + group
	await("the tries", func() bool { return len(kept.firsts()) >= 5 })
	equal(1, len(c.queues(dead)), "queues of "+dead)
	var buried recorder
	c.consume(c.name("reader"), dead, all, buried.listener())
	await("the dead messages", func() bool { return len(buried.numbers()) >= 3 })
	for _, one := range buried.deliveries() {
		verify(one.message, sample(topicOfDead(one.message, dead), "dlq", number(one.message)))
		equal(topic, one.message.GetProperty("RETRY_TOPIC"), "property RETRY_TOPIC of a dead message")
	}
	equal(3, len(buried.numbers()), "dead messages")
	equal(5, len(kept.firsts()), "tries")
}

// This client shows a message under its RETRY_TOPIC wherever it was read.
func topicOfDead(got *primitive.MessageExt, dead string) string {
	if got.Topic == got.GetProperty("RETRY_TOPIC") {
		return got.Topic
	}
	return dead
}

// Two members split the queues, each gets exactly its queues' messages; when one leaves, the other has them all.
func sharedGroup(c *scene) {
	topic, group := c.topic("t", 4), c.name("g")
	recorders := []*recorder{{}, {}}
	var members []rocketmq.PushConsumer
	for i := range recorders {
		members = append(members, c.consume(group, topic, all, recorders[i].listener()))
	}
	split(c, topic, func() [2]map[int]bool {
		return [2]map[int]bool{recorders[0].queues(), recorders[1].queues()}
	}, func() {
		recorders[0].clear()
		recorders[1].clear()
	})
	recorders[0].clear()
	recorders[1].clear()
	c.sendByQueue(topic, "shared", 0, 80)
	shares := func() (*recorder, *recorder) { return recorders[0].labelled("shared"), recorders[1].labelled("shared") }
	await("80 deliveries", func() bool {
		first, second := shares()
		return first.count()+second.count() >= 80
	})
	first, second := shares()
	equal(40, len(first.numbers()), "messages of the first member")
	equal(40, len(second.numbers()), "messages of the second member")
	equal(2, len(first.queues()), "queues of the first member")
	shutDown(members[1], topic)
	recorders[0].clear()
	c.sendByQueue(topic, "shared", 80, 120)
	// Well below the client's own rebalance every 20 s: the server has to tell it.
	awaitFor(12*time.Second, "40 more deliveries to the member that stayed", func() bool {
		return len(recorders[0].numbers()) >= 40
	})
	recorders[0].verifyOnce(topic, "shared", 80, 120)
}

func (r *recorder) clear() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.all = nil
}

// Sends rounds of one message per queue until a round shows two queues with each of two members. What a consumer
// owns shows in nothing but what it gets.
func split(c *scene, topic string, queues func() [2]map[int]bool, clear func()) {
	await("two queues for each member", func() bool {
		clear()
		c.sendByQueue(topic, "probe", 0, 4)
		limit := time.Now().Add(2 * time.Second)
		for time.Now().Before(limit) {
			got := queues()
			if len(got[0]) == 2 && len(got[1]) == 2 {
				return true
			}
			time.Sleep(10 * time.Millisecond)
		}
		return false
	})
}

// A member in another process is killed: the other takes over its queues, and no message is missing.
func takeover(c *scene) {
	topic, group := c.topic("t", 4), c.name("g")
	var mutex sync.Mutex
	itsQueues, itsNumbers := map[int]bool{}, map[int]bool{}
	kill := c.other("member:"+topic+","+group, func(label string, i, queue int) {
		mutex.Lock()
		defer mutex.Unlock()
		itsQueues[queue] = true
		if label == "share" {
			itsNumbers[i] = true
		}
	})
	var kept recorder
	c.consume(group, topic, all, kept.listener())
	split(c, topic, func() [2]map[int]bool {
		mutex.Lock()
		defer mutex.Unlock()
		copied := map[int]bool{}
		for queue := range itsQueues {
			copied[queue] = true
		}
		return [2]map[int]bool{kept.queues(), copied}
	}, func() {
		mutex.Lock()
		defer mutex.Unlock()
		itsQueues = map[int]bool{}
		kept.clear()
	})
	kept.clear()
	c.sendByQueue(topic, "share", 0, 80)
	await("80 messages between the two", func() bool {
		mutex.Lock()
		defer mutex.Unlock()
		return len(kept.labelled("share").numbers())+len(itsNumbers) >= 80
	})
	equal(40, len(kept.labelled("share").numbers()), "messages of this member")

	kill()
	c.sendByQueue(topic, "share", 80, 160)
	// Below the client's own rebalance every 20 s: the closed connection alone has to make the server tell it.
	awaitFor(12*time.Second, "the messages after the kill", func() bool {
		got := kept.labelled("share").numbers()
		for i := 80; i < 160; i++ {
			if got[i] == 0 {
				return false
			}
		}
		return true
	})
	for i, times := range kept.labelled("share").numbers() {
		// What the killed one had not committed may come again, but nothing of this member's own.
		check(times == 1, "message %d came %d times", i, times)
	}
}

// The other process of takeover: consumes until it is killed, or until its parent is gone.
func member(c *scene) {
	topic, group, _ := strings.Cut(c.argument, ",")
	c.consume(group, topic, all, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		sayGot(messages)
		return consumer.ConsumeSuccess, nil
	})
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
}

// Every member gets everything, keeps its position itself, and goes on there when it is started again.
func broadcasting(c *scene) {
	topic, group, prefix := c.topic("t", 4), c.name("g"), instance()
	start := func(kept *recorder, which int) rocketmq.PushConsumer {
		return c.consume(group, topic, all, kept.listener(), consumer.WithConsumerModel(consumer.BroadCasting),
			consumer.WithInstance(fmt.Sprintf("%s-b%d", prefix, which)))
	}
	recorders := []*recorder{{}, {}}
	first := start(recorders[0], 0)
	start(recorders[1], 1)
	c.sendRange(topic, "broadcast", 0, 60)
	for _, kept := range recorders {
		await("60 deliveries", func() bool { return kept.count() >= 60 })
		kept.verifyOnce(topic, "broadcast", 0, 60)
	}
	shutDown(first, topic)
	c.sendRange(topic, "broadcast", 60, 80)
	var after recorder
	start(&after, 0)
	await("20 deliveries after the restart", func() bool { return after.count() >= 20 })
	after.verifyOnce(topic, "broadcast", 60, 80)
	await("80 deliveries to the member that stayed", func() bool { return recorders[1].count() >= 80 })
	recorders[1].verifyOnce(topic, "broadcast", 0, 80)
}

// The topics that the Java scenarios fill and whose first messages are gone (see Positions.java).
const (
	agedFirst = "AgedFirst"
	agedLast  = "AgedLast"
	agedTime  = "AgedTime"
)

// From the first message that there still is: numbers up to the last one written, in each queue without a gap.
func fromFirst(c *scene) {
	var kept recorder
	c.consume(c.name("g"), agedFirst, all, kept.listener())
	lowest := func(queue int) int {
		from := 150
		for i := range kept.numbers() {
			if i%2 == queue && i < from {
				from = i
			}
		}
		return from
	}
	// Several at a time, so that the last of a queue need not come last.
	await("both queues without a gap", func() bool {
		got := kept.numbers()
		for queue := 0; queue < 2; queue++ {
			from := lowest(queue)
			if from == 150 {
				return false
			}
			for i := from; i < 150; i += 2 {
				if got[i] == 0 {
					return false
				}
			}
		}
		return true
	})
	for i, times := range kept.numbers() {
		equal(1, times, fmt.Sprintf("deliveries of %d", i))
	}
	for queue := 0; queue < 2; queue++ {
		check(lowest(queue) > 1, "queue %d begins at number %d: its store is not aged", queue, lowest(queue))
	}
}

// From the end: nothing from before the group existed.
func fromLast(c *scene) {
	var kept recorder
	joined := c.consume(c.name("g"), agedLast, all, kept.listener(), consumer.WithConsumeFromWhere(consumer.ConsumeFromLastOffset))
	// Divides the queues before it returns, and with that asks for the end of each.
	joined.(interface{ Rebalance() }).Rebalance()
	label := c.name("last")
	c.sendRange(agedLast, label, 0, 20)
	await("20 deliveries", func() bool { return countOf(&kept, label) >= 20 })
	for _, one := range kept.deliveries() {
		check(!strings.HasPrefix(one.message.GetKeys(), "aged-"), "%s was delivered", one.message.GetKeys())
	}
}

// From a moment, which the client can name to the second, in UTC.
func fromTimestamp(c *scene) {
	c.sendRange(agedTime, c.name("before"), 0, 20)
	before := time.Now().Unix()
	await("the second after the next", func() bool { return time.Now().Unix() >= before+2 })
	label := c.name("time")
	c.sendRange(agedTime, label, 0, 20)
	var kept recorder
	c.consume(c.name("g"), agedTime, all, kept.listener(), consumer.WithConsumeFromWhere(consumer.ConsumeFromTimestamp),
		consumer.WithConsumeTimestamp(time.Unix(before+1, 0).UTC().Format("20060102150405")))
	await("20 deliveries", func() bool { return kept.count() >= 20 })
	kept.verifyOnce(agedTime, label, 0, 20)
}

func countOf(kept *recorder, label string) int {
	count := 0
	for _, one := range kept.deliveries() {
		if strings.HasPrefix(one.message.GetKeys(), label+"-") {
			count++
		}
	}
	return count
}

// A queue that is whole and recent is read from its start even by a group that asks for the end.
func youngTopic(c *scene) {
	topic := c.topic("t", 2)
	c.sendRange(topic, "young", 0, 40)
	var kept recorder
	c.consume(c.name("g"), topic, all, kept.listener(), consumer.WithConsumeFromWhere(consumer.ConsumeFromLastOffset))
	await("40 deliveries", func() bool { return kept.count() >= 40 })
	kept.verifyOnce(topic, "young", 0, 40)
}
