package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// Only what an expression lets through arrives: from what was there, and from what comes while a pull waits.
func sqlPush(c *scene) {
	topic, group := c.topic("t", 2), c.name("g")
	colored := func(i int) *primitive.Message {
		message := sample(topic, "sql", i)
		message.WithProperty("a", strconv.Itoa(i))
		message.WithProperty("color", []string{"red", "green", "blue", "it's"}[i%4])
		if i%3 != 0 {
			message.WithProperty("region", "north")
		}
		return message
	}
	expressions := map[string]func(i int) bool{
		"color = 'blue' AND a > 10 AND region IS NOT NULL":  func(i int) bool { return i%4 == 2 && i > 10 && i%3 != 0 },
		"a BETWEEN 5 AND 30 AND color IN ('red', 'it''s')":  func(i int) bool { return i >= 5 && i <= 30 && (i%4 == 0 || i%4 == 3) },
		"TAGS = 'TagB' OR NOT (a < 50)":                     func(i int) bool { return i%3 == 1 || i >= 50 },
		"region IS NULL AND (a = 9 OR a = 12.0 OR a <= -1)": func(i int) bool { return i == 9 || i == 12 },
	}
	for i := 0; i < 40; i++ {
		c.send(colored(i))
	}
	kept := map[string]*recorder{}
	for expression := range expressions {
		kept[expression] = &recorder{}
		c.consume(fmt.Sprintf("%s%d", group, len(kept)), topic,
			consumer.MessageSelector{Type: consumer.SQL92, Expression: expression}, kept[expression].listener())
	}
	for i := 40; i < 60; i++ {
		c.send(colored(i))
	}
	for expression, matches := range expressions {
		var expected []int
		for i := 0; i < 60; i++ {
			if matches(i) {
				expected = append(expected, i)
			}
		}
		got := kept[expression]
		await(fmt.Sprintf("%d messages by %s", len(expected), expression), func() bool { return got.count() >= len(expected) })
		for _, i := range expected {
			deliveries := got.of(key("sql", i))
			equal(1, len(deliveries), fmt.Sprintf("deliveries of %d by %s", i, expression))
			verify(deliveries[0].message, colored(i))
		}
		equal(len(expected), got.count(), "deliveries by "+expression)
	}
}

// By seconds, milliseconds and moment: each comes at its time, whole, to its queue. The properties are all that this
// client has for it.
func timed(c *scene) {
	topic := c.topic("t", 4)
	var kept recorder
	c.consume(c.name("g"), topic, all, kept.listener())
	delays := []time.Duration{5, 2, 4, 3, 0}
	due := make([]time.Time, len(delays))
	for i, delay := range delays {
		message := sample(topic, "timed", i)
		message.Queue = c.queues(topic)[i%4]
		due[i] = time.Now().Add(delay * time.Second)
		switch i % 3 {
		case 0:
			message.WithProperty("TIMER_DELAY_SEC", strconv.Itoa(int(delay)))
		case 1:
			message.WithProperty("TIMER_DELAY_MS", strconv.Itoa(int(delay)*1000))
		default:
			message.WithProperty("TIMER_DELIVER_MS", strconv.FormatInt(due[i].UnixMilli(), 10))
		}
		c.send(message)
	}
	await("the timed messages", func() bool { return kept.count() >= len(delays) })
	for i := range delays {
		deliveries := kept.of(key("timed", i))
		equal(1, len(deliveries), fmt.Sprintf("deliveries of %d", i))
		verify(deliveries[0].message, sample(topic, "timed", i))
		equal(i%4, deliveries[0].message.Queue.QueueId, fmt.Sprintf("the queue of %d", i))
		after := deliveries[0].at.Sub(due[i])
		// The server keeps times in steps of a second, rounded down.
		check(after >= -time.Second && after < late, "message %d came %v after its time", i, after)
	}
}

// Too far ahead is refused, and nothing is kept of it.
func timedRefused(c *scene) {
	topic := c.topic("t", 1)
	message := sample(topic, "refused", 0)
	message.WithProperty("TIMER_DELAY_SEC", strconv.Itoa(3*24*3600+60))
	result, err := c.producer().SendSync(context.Background(), message)
	check(err != nil, "four days ahead was answered with %v", result)
	c.send(sample(topic, "refused", 1))
	equal(key("refused", 1), c.read(topic, 1)[0].GetKeys(), "the key of what is stored")
}

func replyTo(i int) []byte {
	return []byte(fmt.Sprintf("the reply to %d", i))
}

// A consumer that replies to all that it gets.
func (c *scene) replier(topic string) *recorder {
	var kept recorder
	c.send(sample(topic, "first", 0))
	c.consume(c.name("g"), topic, all, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, message := range messages {
			if message.GetProperty("CORRELATION_ID") == "" {
				continue
			}
			kept.record(message)
			reply, err := consumer.CreateReplyMessage(message, nil)
			must(err, "the making of a reply")
			// This client takes the body for properties.
			reply.Body = replyTo(number(message))
			reply.WithProperty("number", strconv.Itoa(number(message)))
			if _, err := c.producer().SendSync(context.Background(), reply); err != nil {
				say("a reply to %s failed: %v", message.GetKeys(), err)
			}
		}
		return consumer.ConsumeSuccess, nil
	})
	return &kept
}

// A producer that replies can reach: this client tells the broker of itself a second after its start, if it knows it.
func (c *scene) asker(topic string) rocketmq.Producer {
	asker := newScene(c.namesrv, "asker", "")
	asker.prefix = c.prefix + "_asker"
	c.onClose(asker.close)
	asker.send(sample(topic, "first", 1))
	await("a first reply", func() bool {
		_, err := asker.producer().Request(context.Background(), 2*time.Second, sample(topic, "probe", 0))
		return err == nil
	})
	return asker.producer()
}

func verifyReply(reply *primitive.Message, i int) {
	equal(string(replyTo(i)), string(reply.Body), fmt.Sprintf("the body of the reply to %d", i))
	equal(i, reply.GetProperty("number"), "property number of a reply")
}

// Each request has its own reply.
func requestSync(c *scene) {
	topic := c.topic("t", 2)
	kept := c.replier(topic)
	asker := c.asker(topic)
	for i := 0; i < 20; i++ {
		reply, err := asker.Request(context.Background(), time.Minute, sample(topic, "ask", i))
		must(err, "a request")
		verifyReply(reply, i)
	}
	asked := kept.labelled("ask")
	equal(20, len(asked.numbers()), "requests delivered")
	for _, one := range asked.deliveries() {
		verify(one.message, sample(topic, "ask", number(one.message)))
	}
}

// Many under way at a time: each callback comes with the reply to its own request.
func requestAsync(c *scene) {
	topic := c.topic("t", 2)
	c.replier(topic)
	asker := c.asker(topic)
	var mutex sync.Mutex
	replies := map[int]*primitive.Message{}
	var failures []string
	for i := 0; i < 40; i++ {
		of := i
		err := asker.RequestAsync(context.Background(), time.Minute, func(_ context.Context, reply *primitive.Message, err error) {
			mutex.Lock()
			defer mutex.Unlock()
			switch {
			case err != nil:
				failures = append(failures, err.Error())
			case replies[of] == nil:
				replies[of] = reply
			case string(replies[of].Body) != string(reply.Body):
				// Twice with the same reply is this client's way.
				failures = append(failures, fmt.Sprintf("%d was answered by two", of))
			}
		}, sample(topic, "ask", of))
		must(err, "a request")
	}
	await("40 replies", func() bool {
		mutex.Lock()
		defer mutex.Unlock()
		return len(replies)+len(failures) >= 40
	})
	check(len(failures) == 0, "requests failed: %v", failures)
	for i, reply := range replies {
		verifyReply(reply, i)
	}
}

// Nobody replies: the asker is told when its time is over, and the request stays an ordinary message.
func requestTimeout(c *scene) {
	topic := c.topic("t", 1)
	start := time.Now()
	reply, err := c.producer().Request(context.Background(), 2*time.Second, sample(topic, "ask", 0))
	took := time.Since(start)
	check(err != nil && reply == nil, "nobody replied, and yet there is %v", reply)
	check(took >= 1900*time.Millisecond && took < late, "the time-out came after %v", took)
	verify(c.read(topic, 1)[0], sample(topic, "ask", 0))
}

// Producer and consumer with tracing leave records of each message, which has its id among its keys.
func trace(c *scene) {
	topic, group := c.topic("t", 1), c.name("g")
	tracing := &primitive.TraceConfig{Access: primitive.Local, Resolver: c.resolver()}
	traced, err := producer.NewDefaultProducer(producer.WithNsResolver(c.resolver()), producer.WithGroupName(c.name("traced")),
		producer.WithInstanceName(instance()), producer.WithTrace(tracing))
	must(err, "a traced producer")
	must(traced.Start(), "its start")
	c.onClose(func() { _ = traced.Shutdown() })
	var kept recorder
	c.consume(group, topic, all, kept.listener(), consumer.WithTrace(tracing))
	result, err := traced.SendSync(context.Background(), sample(topic, "trace", 0))
	must(err, "a traced send")
	await("its delivery", func() bool { return kept.count() >= 1 })

	var records recorder
	c.consume(c.name("reader"), "RMQ_SYS_TRACE_TOPIC", all, records.listener())
	found := map[string][]string{}
	await("three records of "+result.MsgID, func() bool {
		for _, one := range records.deliveries() {
			if !strings.Contains(one.message.GetKeys(), result.MsgID) {
				continue
			}
			for _, record := range strings.Split(string(one.message.Body), "\x02") {
				if fields := strings.Split(record, "\x01"); strings.Contains(record, result.MsgID) {
					found[fields[0]] = fields
				}
			}
		}
		return len(found) >= 3
	})
	equal(topic, found["Pub"][4], "the topic in the sender's record")
	equal(result.MsgID, found["Pub"][5], "the message id in the sender's record")
	equal(key("trace", 0), found["Pub"][7], "the key in the sender's record")
	equal(group, found["SubBefore"][3], "the group in the consumer's record")
	equal("true", found["SubAfter"][4], "the success in the consumer's record")
}

// A large body is stored as small as its sender made it, and comes out as it was.
func compressed(c *scene) {
	topic := c.topic("t", 1)
	for _, i := range []int{14, 15} {
		c.send(sample(topic, "compressed", i))
	}
	var sizes [2]int32
	var kept recorder
	c.consume(c.name("g"), topic, all, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, message := range messages {
			sizes[number(message)-14] = message.StoreSize
		}
		kept.record(messages...)
		return consumer.ConsumeSuccess, nil
	})
	await("the messages", func() bool { return kept.count() >= 2 })
	kept.verifyOnce(topic, "compressed", 14, 16)
	check(int(sizes[0]) > len(body("compressed", 14)), "a small body is stored in %d", sizes[0])
	check(int(sizes[1]) < len(body("compressed", 15)), "a large body is stored in %d", sizes[1])
}
