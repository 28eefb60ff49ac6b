// Eclipse paho for Go: 5.0.
//
//	mqtt HOST PORT
//
// Runs each scenario and prints `ok NAME` or `FAILED NAME: WHY` for it.
package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

const (
	// For an answer: the client's own default is 10 s.
	patience = 60 * time.Second
	// For a scenario.
	longest = 300 * time.Second
)

// A client that has connected, with its messages in a channel.
type client struct {
	*paho.Client
	socket         net.Conn
	messages       chan *paho.Publish
	sessionPresent bool
}

func open(ctx context.Context, name string, clean bool, will *paho.WillMessage) (*client, error) {
	var dialer net.Dialer
	socket, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(os.Args[1], os.Args[2]))
	if err != nil {
		return nil, err
	}
	messages := make(chan *paho.Publish, 100)
	one := paho.NewClient(paho.ClientConfig{
		Conn:          socket,
		PacketTimeout: patience,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(received paho.PublishReceived) (bool, error) {
				messages <- received.Packet
				return true, nil
			},
		},
	})
	expiry := uint32(3600)
	connect := &paho.Connect{ClientID: "go-" + name, CleanStart: clean, KeepAlive: 60, WillMessage: will}
	if !clean {
		connect.Properties = &paho.ConnectProperties{SessionExpiryInterval: &expiry}
	}
	ack, err := one.Connect(ctx, connect)
	if err != nil {
		return nil, err
	}
	return &client{one, socket, messages, ack.SessionPresent}, nil
}

func (c *client) subscribe(ctx context.Context, topic string, qos byte) error {
	ack, err := c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: topic, QoS: qos}}})
	if err == nil && ack.Reasons[0] != qos {
		err = fmt.Errorf("granted %d, not %d", ack.Reasons[0], qos)
	}
	return err
}

func (c *client) publish(ctx context.Context, topic, payload string, qos byte, retain bool) error {
	_, err := c.Publish(ctx, &paho.Publish{Topic: topic, Payload: []byte(payload), QoS: qos, Retain: retain})
	return err
}

// The next message, which has this payload.
func (c *client) expect(ctx context.Context, payload string) (*paho.Publish, error) {
	select {
	case got := <-c.messages:
		if string(got.Payload) != payload {
			return nil, fmt.Errorf("%q came, not %q", got.Payload, payload)
		}
		return got, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%q does not come", payload)
	}
}

func (c *client) close() error {
	return c.Disconnect(&paho.Disconnect{})
}

func publish(ctx context.Context, topic string) error {
	c, err := open(ctx, "c", true, nil)
	if err != nil {
		return err
	}
	if err := c.subscribe(ctx, topic, 2); err != nil {
		return err
	}
	for qos := byte(0); qos < 3; qos++ {
		payload := fmt.Sprintf("qos %d", qos)
		if err := c.publish(ctx, topic, payload, qos, false); err != nil {
			return err
		}
		got, err := c.expect(ctx, payload)
		if err != nil {
			return err
		}
		if got.QoS != qos || got.Topic != topic {
			return fmt.Errorf("QoS %d of %s", got.QoS, got.Topic)
		}
	}
	return c.close()
}

func retained(ctx context.Context, topic string) error {
	c, err := open(ctx, "c", true, nil)
	if err != nil {
		return err
	}
	if err := c.publish(ctx, topic, "kept", 1, true); err != nil {
		return err
	}
	if err := c.subscribe(ctx, topic, 1); err != nil {
		return err
	}
	got, err := c.expect(ctx, "kept")
	if err != nil {
		return err
	}
	if !got.Retain {
		return fmt.Errorf("it is not marked as retained")
	}
	if err := c.publish(ctx, topic, "", 1, true); err != nil {
		return err
	}
	return c.close()
}

func will(ctx context.Context, topic string) error {
	watcher, err := open(ctx, "watcher", true, nil)
	if err != nil {
		return err
	}
	if err := watcher.subscribe(ctx, topic, 1); err != nil {
		return err
	}
	testator, err := open(ctx, "testator", true, &paho.WillMessage{Topic: topic, Payload: []byte("gone"), QoS: 1})
	if err != nil {
		return err
	}
	if err := testator.socket.Close(); err != nil {
		return err
	}
	if _, err := watcher.expect(ctx, "gone"); err != nil {
		return err
	}
	return watcher.close()
}

func resumed(ctx context.Context, topic string) error {
	first, err := open(ctx, "session", false, nil)
	if err != nil {
		return err
	}
	if err := first.subscribe(ctx, topic, 2); err != nil {
		return err
	}
	if err := first.close(); err != nil {
		return err
	}
	sender, err := open(ctx, "sender", true, nil)
	if err != nil {
		return err
	}
	if err := sender.publish(ctx, topic, "waits", 2, false); err != nil {
		return err
	}
	if err := sender.close(); err != nil {
		return err
	}
	again, err := open(ctx, "session", false, nil)
	if err != nil {
		return err
	}
	if !again.sessionPresent {
		return fmt.Errorf("no session is present")
	}
	if _, err := again.expect(ctx, "waits"); err != nil {
		return err
	}
	return again.close()
}

func request(ctx context.Context, topic string) error {
	answerer, err := open(ctx, "answerer", true, nil)
	if err != nil {
		return err
	}
	if err := answerer.subscribe(ctx, topic, 1); err != nil {
		return err
	}
	asker, err := open(ctx, "asker", true, nil)
	if err != nil {
		return err
	}
	if err := asker.subscribe(ctx, topic+"/answer", 1); err != nil {
		return err
	}
	which := []byte{0, 255}
	user := paho.UserProperties{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}, {Key: "b", Value: "3"}}
	_, err = asker.Publish(ctx, &paho.Publish{Topic: topic, Payload: []byte("ask"), QoS: 1,
		Properties: &paho.PublishProperties{ResponseTopic: topic + "/answer", CorrelationData: which, User: user}})
	if err != nil {
		return err
	}
	asked, err := answerer.expect(ctx, "ask")
	if err != nil {
		return err
	}
	if fmt.Sprint(asked.Properties.User) != fmt.Sprint(user) {
		return fmt.Errorf("user properties are %v", asked.Properties.User)
	}
	_, err = answerer.Publish(ctx, &paho.Publish{Topic: asked.Properties.ResponseTopic, Payload: []byte("answer"),
		QoS: 1, Properties: &paho.PublishProperties{CorrelationData: asked.Properties.CorrelationData}})
	if err != nil {
		return err
	}
	got, err := asker.expect(ctx, "answer")
	if err != nil {
		return err
	}
	if !bytes.Equal(got.Properties.CorrelationData, which) {
		return fmt.Errorf("correlation data is %v", got.Properties.CorrelationData)
	}
	if err := answerer.close(); err != nil {
		return err
	}
	return asker.close()
}

func main() {
	scenarios := []struct {
		name string
		run  func(context.Context, string) error
	}{{"publish", publish}, {"retained", retained}, {"will", will}, {"resumed", resumed}, {"request", request}}
	for _, scenario := range scenarios {
		begun := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), longest)
		err := scenario.run(ctx, "go/"+scenario.name)
		cancel()
		took := time.Since(begun).Seconds()
		if err == nil {
			fmt.Printf("ok %s_5 %.1fs\n", scenario.name, took)
		} else {
			fmt.Printf("FAILED %s_5 %.1fs: %v\n", scenario.name, took, err)
		}
	}
}
