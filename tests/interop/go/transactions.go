package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// Decides on a message by its number, and notes what it was asked. The server first asks about a message that is 2 s
// old, then every second.
type decider struct {
	first func(i int) primitive.LocalTransactionState
	asked func(i, time int) primitive.LocalTransactionState
	mutex sync.Mutex
	seen  map[int][]*primitive.MessageExt
}

func (d *decider) ExecuteLocalTransaction(message *primitive.Message) primitive.LocalTransactionState {
	return d.first(numberOf(message.GetKeys()))
}

func (d *decider) CheckLocalTransaction(message *primitive.MessageExt) primitive.LocalTransactionState {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	i := number(message)
	if d.seen == nil {
		d.seen = map[int][]*primitive.MessageExt{}
	}
	d.seen[i] = append(d.seen[i], message)
	return d.asked(i, len(d.seen[i]))
}

func (d *decider) questions(i int) []*primitive.MessageExt {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return append([]*primitive.MessageExt{}, d.seen[i]...)
}

func (c *scene) transactional(group string, by *decider) rocketmq.TransactionProducer {
	created, err := rocketmq.NewTransactionProducer(by, producer.WithNsResolver(c.resolver()), producer.WithGroupName(group),
		producer.WithInstanceName(instance()), producer.WithSendMsgTimeout(60*time.Second))
	must(err, "a transactional producer")
	must(created.Start(), "its start")
	c.onClose(func() { _ = created.Shutdown() })
	return created
}

func sendIn(p rocketmq.TransactionProducer, message *primitive.Message) *primitive.SendResult {
	result, err := p.SendMessageInTransaction(context.Background(), message)
	must(err, "a send in a transaction")
	equal(primitive.SendOK, result.Status, "the status of a send in a transaction")
	return result.SendResult
}

// Commits number 0 and waits a while: the client tells the broker of itself a second after its start, if it knows it.
func (c *scene) introduce(p rocketmq.TransactionProducer, topic, label string) {
	sendIn(p, sample(topic, label, 0))
	time.Sleep(2500 * time.Millisecond)
}

// Committed at once: there, whole. Rolled back: never there, nor asked about.
func transactionCommit(c *scene) {
	topic := c.topic("t", 4)
	by := &decider{first: func(i int) primitive.LocalTransactionState {
		if i%2 == 0 {
			return primitive.CommitMessageState
		}
		return primitive.RollbackMessageState
	}, asked: func(int, int) primitive.LocalTransactionState { return primitive.UnknowState }}
	sender := c.transactional(c.name("p"), by)
	c.introduce(sender, topic, "commit")
	results := map[int]*primitive.SendResult{}
	took := map[int]time.Duration{}
	for i := 1; i < 18; i++ {
		begun := time.Now()
		results[i] = sendIn(sender, sample(topic, "commit", i))
		took[i] = time.Since(begun)
	}
	// Long enough for two questions.
	time.Sleep(4 * time.Second)
	for _, got := range c.read(topic, 9) {
		i := number(got)
		equal(0, i%2, fmt.Sprintf("the parity of %d", i))
		verify(got, sample(topic, "commit", i))
		if i > 0 {
			equal(results[i].MsgID, got.MsgId, "the message id")
			equal(results[i].MessageQueue.QueueId, got.Queue.QueueId, "the queue")
		}
	}
	by.mutex.Lock()
	defer by.mutex.Unlock()
	for i := range by.seen {
		check(took[i] > time.Second, "asked about %d, which was decided after %v", i, took[i])
	}
}

// Undecided: the server asks until there is an answer, and shows the message itself.
func transactionCheck(c *scene) {
	topic := c.topic("t", 4)
	by := &decider{first: func(i int) primitive.LocalTransactionState {
		if i == 0 {
			return primitive.CommitMessageState
		}
		return primitive.UnknowState
	}, asked: func(i, time int) primitive.LocalTransactionState {
		switch {
		case time < 2:
			return primitive.UnknowState
		case i%2 == 0:
			return primitive.CommitMessageState
		default:
			return primitive.RollbackMessageState
		}
	}}
	sender := c.transactional(c.name("p"), by)
	c.introduce(sender, topic, "check")
	results := map[int]*primitive.SendResult{}
	for i := 1; i < 7; i++ {
		results[i] = sendIn(sender, sample(topic, "check", i))
	}
	await("two questions about each", func() bool {
		for i := 1; i < 7; i++ {
			if len(by.questions(i)) < 2 {
				return false
			}
		}
		return true
	})
	var found []*primitive.MessageExt
	found = c.read(topic, 4)
	// Long enough for another question, and another message.
	time.Sleep(3 * time.Second)
	for _, got := range found {
		equal(0, number(got)%2, "the parity of what was committed")
		verifyRepeated(got, sample(topic, "check", number(got)))
	}
	for i := 1; i < 7; i++ {
		questions := by.questions(i)
		// Once more where the answer took longer than the second until the next question; else it would be four times.
		check(len(questions) == 2 || len(questions) == 3, "%d questions about %d", len(questions), i)
		for _, question := range questions {
			verifyRepeated(question, sample(topic, "check", i))
			equal(results[i].MsgID, question.GetProperty("UNIQ_KEY"), "the message id in a question")
			equal(results[i].MessageQueue.QueueId, question.Queue.QueueId, "the queue in a question")
		}
	}
}

// Each question stores the message anew, and the official broker leaves the user's flag behind when it does.
func verifyRepeated(got *primitive.MessageExt, sent *primitive.Message) {
	if got.Flag == 0 {
		sent.Flag = 0
	}
	verify(got, sent)
}
