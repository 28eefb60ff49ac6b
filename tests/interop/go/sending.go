package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// Each answer names the place, and the message is there with all its parts.
func sendSync(c *scene) {
	topic := c.topic("t", 4)
	answers := map[string]*primitive.SendResult{}
	for i := 0; i < 48; i++ {
		answers[key("sync", i)] = c.send(sample(topic, "sync", i))
	}
	verifyAll(c, topic, "sync", answers, 48)
}

// Many sends in flight on one connection: each callback comes once and is the answer to its own message.
func sendAsync(c *scene) {
	topic := c.topic("t", 4)
	const count = 200
	var mutex sync.Mutex
	answers := map[string]*primitive.SendResult{}
	var failures []string
	for i := 0; i < count; i++ {
		of := key("async", i)
		err := c.producer().SendAsync(context.Background(), func(_ context.Context, result *primitive.SendResult, err error) {
			mutex.Lock()
			defer mutex.Unlock()
			if err != nil {
				failures = append(failures, of+": "+err.Error())
			} else if answers[of] != nil {
				failures = append(failures, of+": answered twice")
			} else {
				answers[of] = result
			}
		}, sample(topic, "async", i))
		must(err, "an asynchronous send")
	}
	await("the callbacks", func() bool {
		mutex.Lock()
		defer mutex.Unlock()
		return len(answers)+len(failures) >= count
	})
	check(len(failures) == 0, "async sends failed: %v", failures)
	verifyAll(c, topic, "async", answers, count)
}

// No answer, yet every message is stored, and the connection stays usable.
func sendOneway(c *scene) {
	topic := c.topic("t", 4)
	for i := 0; i < 60; i++ {
		must(c.producer().SendOneWay(context.Background(), sample(topic, "oneway", i)), "a one-way send")
	}
	c.send(sample(topic, "oneway", 60))
	verifyAll(c, topic, "oneway", nil, 61)
}

// A batch lands in one queue in its order at consecutive offsets, each message whole.
func sendBatch(c *scene) {
	topic := c.topic("t", 4)
	sent := 0
	type place struct {
		queue  int
		offset int64
	}
	places := map[int]place{}
	for _, size := range []int{2, 13} {
		var batch []*primitive.Message
		for i := 0; i < size; i++ {
			batch = append(batch, sample(topic, "batch", sent+i))
		}
		result := c.send(batch...)
		equal(size, len(strings.Split(result.OffsetMsgID, ",")), "ids in "+result.OffsetMsgID)
		for i := 0; i < size; i++ {
			places[sent+i] = place{result.MessageQueue.QueueId, result.QueueOffset + int64(i)}
		}
		sent += size
	}
	for _, got := range verifyAll(c, topic, "batch", nil, sent) {
		expected := places[number(got)]
		equal(expected, place{got.Queue.QueueId, got.QueueOffset}, fmt.Sprintf("the place of %s", got.GetKeys()))
	}
}

// A send to a topic that nobody created makes it, with the producer's default of four queues.
func autoCreate(c *scene) {
	c.topic("other", 1)
	topic := c.name("nobody_created_this")
	answers := map[string]*primitive.SendResult{}
	for i := 0; i < 8; i++ {
		answers[key("auto", i)] = c.send(sample(topic, "auto", i))
	}
	equal(4, len(c.queues(topic)), "queues of an automatically created topic")
	verifyAll(c, topic, "auto", answers, 8)
}

// That the topic holds exactly numbers 0 to count of the label, where the answers say.
func verifyAll(c *scene, topic, label string, answers map[string]*primitive.SendResult, count int) []*primitive.MessageExt {
	found := c.read(topic, count)
	seen := map[string]bool{}
	next := map[int]int64{}
	for _, got := range found {
		verify(got, sample(topic, label, number(got)))
		check(!seen[got.GetKeys()], "message %s is stored twice", got.GetKeys())
		seen[got.GetKeys()] = true
		equal(next[got.Queue.QueueId], got.QueueOffset, "the queue offset of "+got.GetKeys())
		next[got.Queue.QueueId]++
		if answer := answers[got.GetKeys()]; answer != nil {
			verifyPlace(got, answer)
		}
	}
	return found
}
