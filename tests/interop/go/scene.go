package main

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// How long a condition may take to come true before the scenario fails.
const patience = 150 * time.Second

// What a scenario panics with when something is not as it should be.
type failure string

// What a scenario is handed: clients that are shut down when it ends, names that no other scenario uses, conditions to
// wait for. Each client has an instance name of its own, so that none shares another's connection and client id.
type scene struct {
	namesrv  string
	argument string
	prefix   string
	mutex    sync.Mutex
	closers  []func()
	sender   rocketmq.Producer
	routes   interface {
		CreateTopic(context.Context, ...admin.OptionCreate) error
		FetchPublishMessageQueues(context.Context, string) ([]*primitive.MessageQueue, error)
		Close() error
	}
}

var instances int64

func newScene(namesrv, name, argument string) *scene {
	return &scene{
		namesrv:  namesrv,
		argument: argument,
		prefix:   fmt.Sprintf("go_%s_%x", name, time.Now().UnixNano()),
	}
}

func (c *scene) name(what string) string {
	return c.prefix + "_" + what
}

func instance() string {
	return fmt.Sprintf("go-%d-%d", os.Getpid(), atomic.AddInt64(&instances, 1))
}

func (c *scene) onClose(closer func()) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.closers = append(c.closers, closer)
}

func (c *scene) close() {
	c.mutex.Lock()
	closers := c.closers
	c.mutex.Unlock()
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
}

func (c *scene) resolver() primitive.NsResolver {
	return primitive.NewPassthroughResolver([]string{c.namesrv})
}

// Creates a topic by request and waits for its route.
func (c *scene) topic(what string, queues int) string {
	topic := c.name(what)
	if c.routes == nil {
		routes, err := admin.NewAdmin(admin.WithResolver(c.resolver()))
		must(err, "the admin client")
		c.routes = routes
	}
	broker := os.Getenv("BROKER")
	check(broker != "", "BROKER is not set")
	err := c.routes.CreateTopic(context.Background(), admin.WithTopicCreate(topic), admin.WithBrokerAddrCreate(broker),
		admin.WithReadQueueNums(queues), admin.WithWriteQueueNums(queues))
	must(err, "creating "+topic)
	found := c.queues(topic)
	check(len(found) == queues, "%s has the queues %v", topic, found)
	return topic
}

// The topic's queues, once its route is known.
func (c *scene) queues(topic string) []*primitive.MessageQueue {
	var found []*primitive.MessageQueue
	await("the route of "+topic, func() bool {
		queues, err := c.routes.FetchPublishMessageQueues(context.Background(), topic)
		found = queues
		return err == nil && len(queues) > 0
	})
	sort.Slice(found, func(i, j int) bool { return found[i].QueueId < found[j].QueueId })
	return found
}

// The scenario's own producer. A message that names its queue goes there.
func (c *scene) producer() rocketmq.Producer {
	if c.sender == nil {
		created, err := rocketmq.NewProducer(producer.WithNsResolver(c.resolver()), producer.WithGroupName(c.name("p")),
			producer.WithInstanceName(instance()), producer.WithSendMsgTimeout(60*time.Second),
			producer.WithQueueSelector(whereItSays{producer.NewRoundRobinQueueSelector()}))
		must(err, "a producer")
		must(created.Start(), "the start of a producer")
		c.onClose(func() { _ = created.Shutdown() })
		c.sender = created
	}
	return c.sender
}

// Takes the queue that the message names, or else lets the queues take turns.
type whereItSays struct {
	otherwise producer.QueueSelector
}

func (s whereItSays) Select(message *primitive.Message, queues []*primitive.MessageQueue, last string) *primitive.MessageQueue {
	if message.Queue != nil {
		return message.Queue
	}
	return s.otherwise.Select(message, queues, last)
}

func (c *scene) send(messages ...*primitive.Message) *primitive.SendResult {
	result, err := c.producer().SendSync(context.Background(), messages...)
	must(err, "a send")
	equal(primitive.SendOK, result.Status, "the status of a send")
	return result
}

func (c *scene) sendRange(topic, label string, from, end int) {
	for i := from; i < end; i++ {
		c.send(sample(topic, label, i))
	}
}

// Sends these numbers, each to the queue of its remainder by four.
func (c *scene) sendByQueue(topic, label string, from, end int) {
	queues := c.queues(topic)
	for i := from; i < end; i++ {
		message := sample(topic, label, i)
		message.Queue = queues[i%4]
		c.send(message)
	}
}

type listener = func(context.Context, ...*primitive.MessageExt) (consumer.ConsumeResult, error)

var all = consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}

// A started push consumer that begins at the first message unless an option says otherwise.
func (c *scene) consume(group, topic string, selector consumer.MessageSelector, to listener, options ...consumer.Option) rocketmq.PushConsumer {
	created, err := rocketmq.NewPushConsumer(append([]consumer.Option{
		consumer.WithNsResolver(c.resolver()),
		consumer.WithGroupName(group),
		consumer.WithInstance(instance()),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}, options...)...)
	must(err, "a push consumer")
	must(created.Subscribe(topic, selector, to), "a subscription to "+topic)
	must(created.Start(), "the start of a consumer of "+topic)
	c.onClose(func() { _ = created.Shutdown() })
	return created
}

// Waits until the topic has this many messages for a group of its own, and gives them in the order of their offsets.
func (c *scene) read(topic string, count int) []*primitive.MessageExt {
	var kept recorder
	reader := c.consume(c.name("reader_")+strings.ReplaceAll(topic, "%", ""), topic, all, kept.listener())
	await(fmt.Sprintf("%d messages in %s", count, topic), func() bool { return kept.count() >= count })
	_ = reader.Shutdown()
	var found []*primitive.MessageExt
	for _, one := range kept.deliveries() {
		found = append(found, one.message)
	}
	equal(count, len(found), "messages in "+topic)
	sort.Slice(found, func(i, j int) bool {
		a, b := found[i], found[j]
		return a.Queue.QueueId < b.Queue.QueueId || a.Queue.QueueId == b.Queue.QueueId && a.QueueOffset < b.QueueOffset
	})
	return found
}

// Makes the consumer read its group's retry queue now: that topic only exists once the group has been seen, and a
// client left alone looks for new routes every 30 s and rebalances every 20 s.
func (c *scene) joinRetryQueue(joined rocketmq.PushConsumer, group string) {
	own := joined.(interface {
		UpdateTopicSubscribeInfo(string, []*primitive.MessageQueue)
		Rebalance()
	})
	topic := "%RETRY%" + group
	own.UpdateTopicSubscribeInfo(topic, c.queues(topic))
	own.Rebalance()
}

// What a consumer was given, in the order in which it was given it.
type recorder struct {
	mutex sync.Mutex
	all   []delivery
}

type delivery struct {
	message *primitive.MessageExt
	at      time.Time
}

func (r *recorder) record(messages ...*primitive.MessageExt) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, message := range messages {
		// The client goes on to use its own: it counts tries there.
		kept := &primitive.MessageExt{
			MsgId: message.MsgId, OffsetMsgId: message.OffsetMsgId, QueueOffset: message.QueueOffset,
			StoreTimestamp: message.StoreTimestamp, BornTimestamp: message.BornTimestamp, BornHost: message.BornHost,
			StoreHost: message.StoreHost, CommitLogOffset: message.CommitLogOffset, ReconsumeTimes: message.ReconsumeTimes,
		}
		kept.Topic, kept.Body, kept.Flag, kept.Queue = message.Topic, message.Body, message.Flag, message.Queue
		kept.WithProperties(message.GetProperties())
		r.all = append(r.all, delivery{kept, time.Now()})
	}
}

func (r *recorder) listener() listener {
	return func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		r.record(messages...)
		return consumer.ConsumeSuccess, nil
	}
}

func (r *recorder) deliveries() []delivery {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return append([]delivery{}, r.all...)
}

func (r *recorder) count() int {
	return len(r.deliveries())
}

func (r *recorder) of(key string) []delivery {
	var found []delivery
	for _, one := range r.deliveries() {
		if one.message.GetKeys() == key {
			found = append(found, one)
		}
	}
	return found
}

// The first delivery of each try of each message. Two rebalances at once, of which one may be joinRetryQueue's, make
// this client read a queue twice: each try comes twice then, with the same count.
func (r *recorder) firsts() []delivery {
	type try struct {
		key   string
		count int32
	}
	seen := map[try]bool{}
	var found []delivery
	for _, one := range r.deliveries() {
		this := try{one.message.GetKeys(), one.message.ReconsumeTimes}
		if !seen[this] {
			seen[this] = true
			found = append(found, one)
		}
	}
	return found
}

// What it was given of this label alone.
func (r *recorder) labelled(label string) *recorder {
	var of recorder
	for _, one := range r.deliveries() {
		if strings.HasPrefix(one.message.GetKeys(), label+"-") {
			of.all = append(of.all, one)
		}
	}
	return &of
}

func (r *recorder) numbers() map[int]int {
	times := map[int]int{}
	for _, one := range r.deliveries() {
		times[number(one.message)]++
	}
	return times
}

func (r *recorder) queues() map[int]bool {
	queues := map[int]bool{}
	for _, one := range r.deliveries() {
		queues[one.message.Queue.QueueId] = true
	}
	return queues
}

// That numbers from to end came exactly once each, whole and on the first try.
func (r *recorder) verifyOnce(topic, label string, from, end int) {
	seen := map[int]bool{}
	for _, one := range r.deliveries() {
		i := number(one.message)
		verify(one.message, sample(topic, label, i))
		check(!seen[i], "message %d was delivered twice", i)
		check(i >= from && i < end, "message %d was delivered", i)
		equal(int32(0), one.message.ReconsumeTimes, "reconsume times")
		seen[i] = true
	}
	equal(end-from, len(seen), "messages delivered")
}

func await(what string, holds func() bool) {
	awaitFor(patience, what, holds)
}

func awaitFor(limit time.Duration, what string, holds func() bool) {
	start := time.Now()
	for !holds() {
		check(time.Since(start) < limit, "after %v still waiting for %s", limit, what)
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(start); took > 5*time.Second {
		say("waited %v for %s", took.Round(time.Millisecond), what)
	}
}

func check(holds bool, otherwise string, arguments ...interface{}) {
	if !holds {
		panic(failure(fmt.Sprintf(otherwise, arguments...)))
	}
}

func must(err error, what string) {
	check(err == nil, "%s: %v", what, err)
}

func equal(expected, actual interface{}, what string) {
	check(fmt.Sprint(expected) == fmt.Sprint(actual), "%s: expected %v, got %v", what, expected, actual)
}
