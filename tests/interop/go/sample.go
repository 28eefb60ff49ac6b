package main

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand"
	"strconv"
	"strings"

	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// Message number i of a label: key, tag, flag, two user properties (one beyond ASCII) and body all follow from these.
func sample(topic, label string, i int) *primitive.Message {
	message := primitive.NewMessage(topic, body(label, i))
	message.WithTag([]string{"TagA", "TagB", "TagC"}[i%3])
	message.WithKeys([]string{key(label, i)})
	message.Flag = int32(i + 7)
	message.WithProperty("number", strconv.Itoa(i))
	message.WithProperty("words", "größe 数 "+label)
	return message
}

func key(label string, i int) string {
	return fmt.Sprintf("%s-%d", label, i)
}

// Every 16th body is 40 KB of text, which the client compresses; the others are bytes of any value.
func body(label string, i int) []byte {
	if i%16 == 15 {
		return []byte(strings.Repeat(fmt.Sprintf("%s line %d of a long text; ", label, i), 40_000/20))
	}
	seed := fnv.New64()
	_, _ = seed.Write([]byte(key(label, i)))
	content := make([]byte, 1+(i*37)%3000)
	_, _ = rand.New(rand.NewSource(int64(seed.Sum64()))).Read(content)
	return content
}

// The number of a message, out of its key.
func number(message *primitive.MessageExt) int {
	return numberOf(message.GetKeys())
}

func numberOf(key string) int {
	i, err := strconv.Atoi(key[strings.LastIndex(key, "-")+1:])
	must(err, "the number in the key "+key)
	return i
}

// What verify panics with: neither server nor client changes a message by standing still.
type wrong string

// That a message is as it was sent, apart from where and when it was stored.
func verify(got *primitive.MessageExt, sent *primitive.Message) {
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case failure:
			panic(wrong(reason))
		default:
			panic(reason)
		}
	}()
	which := "message " + sent.GetKeys() + " in " + sent.Topic + ", "
	equal(sent.Topic, got.Topic, which+"topic")
	equal(sent.Flag, got.Flag, which+"flag")
	check(bytes.Equal(sent.Body, got.Body), "%sbody: expected %d bytes, got %d", which, len(sent.Body), len(got.Body))
	for name, value := range sent.GetProperties() {
		// A client sets the other ones while it sends.
		if name == "TAGS" || name == "KEYS" || name == "number" || name == "words" {
			equal(value, got.GetProperty(name), which+"property "+name)
		}
	}
	check(got.StoreTimestamp > 0 && got.BornTimestamp > 0, "%stimestamps %d and %d", which, got.BornTimestamp, got.StoreTimestamp)
	check(got.StoreHost != "" && got.BornHost != "", "%shosts", which)
}

// That the message is where the send's answer said it would be.
func verifyPlace(got *primitive.MessageExt, result *primitive.SendResult) {
	which := "message " + got.GetKeys() + ", "
	equal(result.MessageQueue.QueueId, got.Queue.QueueId, which+"queue")
	equal(result.QueueOffset, got.QueueOffset, which+"queue offset")
	equal(result.MsgID, got.MsgId, which+"message id")
	equal(result.OffsetMsgID, got.OffsetMsgId, which+"offset message id")
}
