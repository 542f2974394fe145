// An agent built on the reference client of OpAMP, which does what a server says and tells what that was.
//
// client URL TOKEN: over WebSocket or plain HTTP, as the URL says. Prints what happens as JSON, one object a line, and
// ends with its standard input. A configuration that holds the word "refuse" fails; every other one is applied.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/open-telemetry/opamp-go/client"
	"github.com/open-telemetry/opamp-go/client/types"
	"github.com/open-telemetry/opamp-go/protobufs"
)

const tasks = "io.phoenix.tasks/v1"

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

type agent struct {
	url         string
	credentials chan string
	lock        sync.Mutex
	client      client.OpAMPClient
	status      *protobufs.RemoteConfigStatus
	settings    *protobufs.ConnectionSettingsStatus
	effective   string
}

func tell(event string, more map[string]any) {
	told := map[string]any{"event": event}
	for key, value := range more {
		told[key] = value
	}
	line, err := json.Marshal(told)
	check(err)
	fmt.Println(string(line))
}

func text(key, value string) *protobufs.KeyValue {
	return &protobufs.KeyValue{Key: key, Value: &protobufs.AnyValue{Value: &protobufs.AnyValue_StringValue{StringValue: value}}}
}

func components(names ...string) *protobufs.ComponentDetails {
	details := &protobufs.ComponentDetails{SubComponentMap: map[string]*protobufs.ComponentDetails{}}
	for _, name := range names {
		details.SubComponentMap[name] = &protobufs.ComponentDetails{}
	}
	return details
}

// start connects with a credential; what the agent remembers is told again.
func (a *agent) start(credential string) {
	var made client.OpAMPClient
	if strings.HasPrefix(a.url, "ws") {
		made = client.NewWebSocket(nil)
	} else {
		made = client.NewHTTP(nil)
	}
	a.lock.Lock()
	a.client = made
	a.lock.Unlock()
	capabilities := protobufs.AgentCapabilities_AgentCapabilities_ReportsStatus |
		protobufs.AgentCapabilities_AgentCapabilities_AcceptsRemoteConfig |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsRemoteConfig |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsEffectiveConfig |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsHealth |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsHeartbeat |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsOwnMetrics |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsAvailableComponents |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsConnectionSettingsStatus |
		protobufs.AgentCapabilities_AgentCapabilities_AcceptsOpAMPConnectionSettings
	check(made.SetAgentDescription(&protobufs.AgentDescription{
		IdentifyingAttributes:    []*protobufs.KeyValue{text("service.name", "reference")},
		NonIdentifyingAttributes: []*protobufs.KeyValue{text("zone", "go")},
	}))
	check(made.SetHealth(&protobufs.ComponentHealth{Healthy: true, Status: "fine"}))
	check(made.SetCustomCapabilities(&protobufs.CustomCapabilities{Capabilities: []string{tasks}}))
	check(made.SetAvailableComponents(&protobufs.AvailableComponents{
		Hash: []byte("components"),
		Components: map[string]*protobufs.ComponentDetails{
			"receivers": components("otlp"),
			"exporters": components("debug"),
		},
	}))
	// Only what was set before may be among the capabilities.
	check(made.SetCapabilities(&capabilities))
	interval := time.Second
	check(made.Start(context.Background(), types.StartSettings{
		OpAMPServerURL:               a.url,
		Header:                       http.Header{"Authorization": {credential}},
		InstanceUid:                  types.InstanceUid{0x01, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x67},
		RemoteConfigStatus:           a.status,
		LastConnectionSettingsStatus: a.settings,
		HeartbeatInterval:            &interval,
		EnableCompression:            true,
		Callbacks: types.Callbacks{
			OnConnect: func(context.Context) { tell("connected", nil) },
			OnConnectFailed: func(_ context.Context, err error) {
				tell("refused", map[string]any{"error": err.Error()})
			},
			OnError: func(_ context.Context, err *protobufs.ServerErrorResponse) {
				tell("error", map[string]any{"error": err.ErrorMessage})
			},
			OnMessage: a.obey,
			OnOpampConnectionSettings: func(_ context.Context, offered *protobufs.OpAMPConnectionSettings) error {
				for _, header := range offered.GetHeaders().GetHeaders() {
					if header.Key == "Authorization" {
						a.credentials <- header.Value
					}
				}
				return nil
			},
			GetEffectiveConfig: func(context.Context) (*protobufs.EffectiveConfig, error) {
				file := &protobufs.AgentConfigFile{Body: []byte(a.effective), ContentType: "text/yaml"}
				files := map[string]*protobufs.AgentConfigFile{"": file}
				return &protobufs.EffectiveConfig{ConfigMap: &protobufs.AgentConfigMap{ConfigMap: files}}, nil
			},
		},
	}))
}

// obey does what a message says.
func (a *agent) obey(ctx context.Context, message *types.MessageData) {
	a.lock.Lock()
	own := a.client
	a.lock.Unlock()
	if hash := message.OfferedConnectionsSettingsHash; hash != nil {
		// The status may not be sent before the client is replaced; the next one tells it.
		a.settings = &protobufs.ConnectionSettingsStatus{
			LastConnectionSettingsHash: hash,
			Status:                     protobufs.ConnectionSettingsStatuses_ConnectionSettingsStatuses_APPLIED,
		}
	}
	if remote := message.RemoteConfig; remote != nil {
		all := ""
		for _, file := range remote.GetConfig().GetConfigMap() {
			all += string(file.Body)
		}
		tell("remote_config", map[string]any{"hash": hex.EncodeToString(remote.ConfigHash), "text": all})
		a.status = &protobufs.RemoteConfigStatus{
			LastRemoteConfigHash: remote.ConfigHash,
			Status:               protobufs.RemoteConfigStatuses_RemoteConfigStatuses_APPLIED,
		}
		if strings.Contains(all, "refuse") {
			a.status.Status = protobufs.RemoteConfigStatuses_RemoteConfigStatuses_FAILED
			a.status.ErrorMessage = "it does not want to"
		} else {
			a.effective = all
			check(own.UpdateEffectiveConfig(ctx))
		}
		check(own.SetRemoteConfigStatus(a.status))
	}
	if metrics := message.OwnMetricsConnSettings; metrics != nil {
		tell("own_metrics", map[string]any{"endpoint": metrics.DestinationEndpoint})
	}
	if custom := message.CustomMessage; custom != nil {
		tell("custom", map[string]any{"capability": custom.Capability, "type": custom.Type})
		var task struct {
			ID    string `json:"id"`
			Fence int64  `json:"fence"`
			Kind  string `json:"kind"`
		}
		check(json.Unmarshal(custom.Data, &task))
		result := map[string]any{"id": task.ID, "fence": task.Fence, "result": map[string]any{"did": task.Kind}}
		data, err := json.Marshal(result)
		check(err)
		_, err = own.SendCustomMessage(&protobufs.CustomMessage{Capability: tasks, Type: "result", Data: data})
		check(err)
	}
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("client URL TOKEN")
	}
	a := &agent{url: os.Args[1], credentials: make(chan string, 8), effective: "a: 1\n"}
	ends := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ends)
	}()
	a.start("Bearer " + os.Args[2])
	for {
		select {
		case credential := <-a.credentials:
			// As the specification wants it: connect with the new one.
			tell("credential", map[string]any{"value": strings.TrimPrefix(credential, "Bearer ")})
			check(a.client.Stop(context.Background()))
			a.start(credential)
		case <-ends:
			check(a.client.Stop(context.Background()))
			return
		}
	}
}
