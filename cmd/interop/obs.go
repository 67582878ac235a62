package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// obsPlugin is the module of OBS that has WHIP. Debian builds OBS without it.
const obsPlugin = "/usr/lib/x86_64-linux-gnu/obs-plugins/obs-webrtc.so"

func prepareOBS(ctx context.Context, t *trial) string {
	if !t.find("OBS", "obs") {
		return "no OBS Studio; name one by OBS"
	}
	if os.Getenv("OBS") == "" && !t.place.has(obsPlugin) {
		return "OBS Studio is there, without WHIP: Debian leaves that out, for it has no libdatachannel; name another by OBS"
	}
	for _, need := range []string{"Xvfb", "xvfb-run"} {
		if !t.place.has(need) {
			return "no " + need + ", in which OBS Studio could run"
		}
	}
	t.version = strings.TrimPrefix(t.output(ctx, t.program, "--version"), "OBS Studio - ")
	return ""
}

const obsProfile = `[General]
Name=live777
[Output]
Mode=Simple
[Stream1]
WHIPSimulcastTotalLayers=%d
[SimpleOutput]
FilePath=%s
RecFormat2=mkv
VBitrate=2000
StreamEncoder=x264
RecQuality=Stream
UseAdvanced=%t
x264Settings=%s
[Video]
BaseCX=640
BaseCY=360
OutputCX=640
OutputCY=360
FPSType=0
FPSCommon=30
[Audio]
SampleRate=48000
ChannelSetup=Stereo
`

const obsGlobal = `[General]
FirstRun=true
InfoIncrement=-1
EnableAutoUpdates=false
[Basic]
Profile=live777
ProfileDir=live777
SceneCollection=live777
SceneCollectionFile=live777
`

// publishOBS runs OBS in a display of its own, with its default settings but for those
// of x264 that are given: the profile says where to, and the scene has the test source.
// It records the same by itself.
func publishOBS(ctx context.Context, t *trial, layers int, x264 string) error {
	source, err := t.encoded(ctx)
	if err != nil {
		return err
	}
	home := filepath.Join(t.place.scratch, t.stream)
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	if err := writeOBS(t, home, source, fmt.Sprintf(obsProfile, layers, t.place.inside(home), x264 != "", x264), port); err != nil {
		return err
	}
	inside := t.place.inside(home)
	cmd := t.place.command(ctx, "env", "HOME="+inside, "XDG_CONFIG_HOME="+inside+"/.config", "XDG_RUNTIME_DIR="+inside,
		"LIBGL_ALWAYS_SOFTWARE=1", "xvfb-run", "-a", "-s", "-screen 0 1280x720x24", t.program, "--startstreaming", "--startrecording",
		"--profile", "live777", "--collection", "live777", "--scene", "Scene", "--multi", "--disable-shutdown-check",
		"--disable-missing-files-check")
	t.leaves, t.left = obsLeaves, make(chan time.Time, 1)
	leave := make(chan error, 1)
	stopping, stop := context.WithCancel(ctx)
	defer stop()
	go func() { leave <- t.leaveOBS(stopping, port) }()
	err = t.run(ctx, cmd, false)
	stop()
	if leaveErr := <-leave; err == nil {
		err = leaveErr
	}
	if own, _ := filepath.Glob(filepath.Join(home, "*.mkv")); len(own) > 0 {
		t.local = own[len(own)-1]
	}
	return err
}

// obsLeaves is how long OBS may take to stop before it is interrupted: while it
// streams it may crash then.
const obsLeaves = 20 * time.Second

// obsWrites is how long its outputs may take to end, once they are told to.
const obsWrites = 2 * time.Second

// leaveOBS stops its outputs in order, before OBS is interrupted.
func (t *trial) leaveOBS(ctx context.Context, port int) error {
	if err := t.bench.awaitMedia(ctx, t.stream); err != nil {
		return nil //nolint:nilerr // who waits for OBS has noticed it too
	}
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(t.duration()):
	}
	at := time.Now()
	cmd := exec.CommandContext(ctx, "node", "--experimental-websocket", "internal/testkit/e2e/clients/obs_stop.mjs", strconv.Itoa(port))
	cmd.Dir = t.bench.o.repository
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("stop OBS: %w: %s", err, out)
	}
	select {
	case <-ctx.Done():
	case <-time.After(obsWrites):
	}
	t.left <- at
	return nil
}

// writeOBS writes a configuration of OBS below home.
func writeOBS(t *trial, home, source, basic string, port int) error {
	config := filepath.Join(home, ".config", "obs-studio")
	profile := filepath.Join(config, "basic", "profiles", "live777")
	scene := map[string]any{
		"name": "live777", "current_scene": "Scene", "current_program_scene": "Scene",
		"scene_order": []any{map[string]any{"name": "Scene"}},
		"sources": []any{
			map[string]any{
				"id": "scene", "versioned_id": "scene", "name": "Scene", "uuid": "11111111-1111-4111-8111-111111111111",
				"settings": map[string]any{"id_counter": 1, "custom_size": false, "items": []any{map[string]any{
					"name": "Flash", "source_uuid": "22222222-2222-4222-8222-222222222222", "id": 1, "visible": true, "align": 5,
					"pos": map[string]any{"x": 0, "y": 0}, "scale": map[string]any{"x": 1, "y": 1}, "bounds_type": 0,
				}}},
			},
			map[string]any{
				"id": "ffmpeg_source", "versioned_id": "ffmpeg_source", "name": "Flash", "uuid": "22222222-2222-4222-8222-222222222222",
				"settings": map[string]any{
					"local_file": t.place.inside(source), "is_local_file": true, "looping": true, "hw_decode": false, "restart_on_activate": false,
				},
				"mixers": 255, "volume": 1.0, "muted": false, "enabled": true,
			},
		},
	}
	service := map[string]any{"type": "whip_custom", "settings": map[string]any{"service": "WHIP", "server": t.endpoint(), "bearer_token": ""}}
	remote := map[string]any{"alerts_enabled": false, "auth_required": false, "first_load": false, "server_enabled": true, "server_port": port}
	files := map[string]any{
		filepath.Join(config, "global.ini"):                                    obsGlobal,
		filepath.Join(config, "user.ini"):                                      obsGlobal,
		filepath.Join(profile, "basic.ini"):                                    basic,
		filepath.Join(profile, "service.json"):                                 service,
		filepath.Join(config, "basic", "scenes", "live777.json"):               scene,
		filepath.Join(config, "plugin_config", "obs-websocket", "config.json"): remote,
	}
	for name, content := range files {
		text, ok := content.(string)
		if !ok {
			data, err := json.Marshal(content)
			if err != nil {
				return fmt.Errorf("configure OBS: %w", err)
			}
			text = string(data)
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return fmt.Errorf("configure OBS: %w", err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return fmt.Errorf("configure OBS: %w", err)
		}
	}
	return nil
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a port: %w", err)
	}
	defer func() { _ = l.Close() }()
	addr, _ := l.Addr().(*net.TCPAddr)
	return addr.Port, nil
}
