// Package tilt runs the Tiltfile without Tilt: under the same interpreter, with functions that only remember what they were told.
// Each takes the arguments that Tilt documents and no others.
package tilt

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
	"go.yaml.in/yaml/v3"
)

// Call is a call of one of Tilt's functions: its arguments by name, those that were not given left out.
type Call struct {
	Function string
	Position string
	Values   map[string]any
}

// Text is an argument that is text, empty when it was not given.
func (call Call) Text(name string) string {
	text, _ := call.Values[name].(string)
	return text
}

// Texts is an argument that is one text or several.
func (call Call) Texts(name string) []string {
	return texts(call.Values[name])
}

func texts(value any) []string {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []any:
		all := []string{}
		for _, text := range value {
			all = append(all, fmt.Sprint(text))
		}
		return all
	}
	return nil
}

// Is is an argument that is true or false.
func (call Call) Is(name string, otherwise bool) bool {
	if is, given := call.Values[name].(bool); given {
		return is
	}
	return otherwise
}

// Calls is an argument that is made of other calls: steps of a live update, links, a probe.
func (call Call) Calls(name string) []Call {
	switch value := call.Values[name].(type) {
	case Call:
		return []Call{value}
	case []any:
		all := []Call{}
		for _, inner := range value {
			if inner, is := inner.(Call); is {
				all = append(all, inner)
			}
		}
		return all
	}
	return nil
}

// Plan is what a Tiltfile asks for, in its order.
type Plan struct {
	Calls []Call
}

// Of are the calls of one function.
func (plan *Plan) Of(function string) []Call {
	all := []Call{}
	for _, call := range plan.Calls {
		if call.Function == function {
			all = append(all, call)
		}
	}
	return all
}

// Objects are all objects that Tilt would apply.
func (plan *Plan) Objects() ([]map[string]any, error) {
	all := []map[string]any{}
	for _, call := range plan.Of("k8s_yaml") {
		text, is := call.Values["yaml"].(blob)
		if !is {
			return nil, fmt.Errorf("%s: k8s_yaml is given files, which this stand-in doesn't read", call.Position)
		}
		objects, err := Documents(string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

// Documents of a stream of YAML.
func Documents(text string) ([]map[string]any, error) {
	all := []map[string]any{}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var object map[string]any
		if err := decoder.Decode(&object); err != nil {
			if err.Error() == "EOF" {
				return all, nil
			}
			return nil, err
		}
		if object != nil {
			all = append(all, object)
		}
	}
}

// The arguments of Tilt's functions (docs.tilt.dev/api.html), `?` those that may be left out. What returns a value that is
// handed to another function is in `makes`; what Tilt only remembers, in `says`.
var (
	says = map[string][]string{
		"version_settings": {"check_updates?", "constraint?"},
		"update_settings": {"max_parallel_updates?", "k8s_upsert_timeout_secs?", "suppress_unused_image_warnings?",
			"k8s_server_side_apply?"},
		"ci_settings": {"k8s_grace_period?", "timeout?", "readiness_timeout?"},
		"custom_build": {"ref", "command", "deps", "tag?", "disable_push?", "skips_local_docker?", "live_update?",
			"match_in_env_vars?", "ignore?", "entrypoint?", "command_bat_val?", "outputs_image_ref_to?", "command_bat?",
			"image_deps?", "env?", "dir?"},
		"k8s_yaml": {"yaml", "allow_duplicates?"},
		"k8s_kind": {"kind", "api_version?", "image_json_path?", "image_object_json_path?", "pod_readiness?"},
		"k8s_resource": {"workload?", "new_name?", "port_forwards?", "extra_pod_selectors?", "trigger_mode?", "resource_deps?",
			"objects?", "auto_init?", "pod_readiness?", "links?", "labels?", "discovery_strategy?"},
		"local_resource": {"name", "cmd?", "deps?", "trigger_mode?", "resource_deps?", "ignore?", "auto_init?", "serve_cmd?",
			"cmd_bat?", "serve_cmd_bat?", "allow_parallel?", "links?", "labels?", "env?", "serve_env?", "readiness_probe?", "dir?",
			"serve_dir?"},
		"local": {"command", "quiet?", "command_bat?", "echo_off?", "env?", "dir?", "stdin?"},
	}
	makes = map[string][]string{
		"sync": {"local_path", "remote_path"},
		"run":  {"cmd", "trigger?", "echo_off?"},
		"link": {"url", "name?"},
		"probe": {"initial_delay_secs?", "timeout_secs?", "period_secs?", "success_threshold?", "failure_threshold?", "exec?",
			"http_get?", "tcp_socket?"},
		"http_get_action": {"port", "host?", "scheme?", "path?"},
	}
)

// Run executes a Tiltfile as `tilt SUBCOMMAND` would; charts are rendered by helm. `folder` is where it lies.
func Run(folder, source, subcommand string, environment map[string]string) (*Plan, error) {
	plan := &Plan{}
	globals := starlark.StringDict{
		"TRIGGER_MODE_AUTO":   starlark.String("auto"),
		"TRIGGER_MODE_MANUAL": starlark.String("manual"),
		"os":                  module("os", "getenv", builtin("os.getenv", getenv(environment))),
		"config":              module("config", "tilt_subcommand", starlark.String(subcommand)),
		"helm":                builtin("helm", helm(folder)),
		"read_yaml":           builtin("read_yaml", readYAML(folder)),
		"encode_yaml":         builtin("encode_yaml", encodeYAML),
		"encode_yaml_stream":  builtin("encode_yaml_stream", encodeYAMLStream),
	}
	for name, parameters := range says {
		globals[name] = builtin(name, func(thread *starlark.Thread, args arguments, kwargs keywords) (starlark.Value, error) {
			call, err := record(thread, name, parameters, args, kwargs)
			if err == nil {
				plan.Calls = append(plan.Calls, call)
			}
			return starlark.None, err
		})
	}
	for name, parameters := range makes {
		globals[name] = builtin(name, func(thread *starlark.Thread, args arguments, kwargs keywords) (starlark.Value, error) {
			call, err := record(thread, name, parameters, args, kwargs)
			return made{call}, err
		})
	}
	thread := &starlark.Thread{Name: "Tiltfile"}
	// As Tilt has them.
	options := &syntax.FileOptions{Set: true, TopLevelControl: true, GlobalReassign: true, Recursion: true}
	_, err := starlark.ExecFileOptions(options, thread, "Tiltfile", source, globals)
	if failed, is := err.(*starlark.EvalError); is {
		err = fmt.Errorf("%s", failed.Backtrace())
	}
	return plan, err
}

type (
	arguments = starlark.Tuple
	keywords  = []starlark.Tuple
	function  = func(*starlark.Thread, arguments, keywords) (starlark.Value, error)
)

func builtin(name string, call function) starlark.Value {
	inner := func(thread *starlark.Thread, _ *starlark.Builtin, args arguments, kwargs keywords) (starlark.Value, error) {
		return call(thread, args, kwargs)
	}
	return starlark.NewBuiltin(name, inner)
}

func module(name, member string, value starlark.Value) starlark.Value {
	return starlarkstruct.FromStringDict(starlark.String(name), starlark.StringDict{member: value})
}

// made is a call as a value, which another call takes.
type made struct{ Call }

func (made made) String() string        { return fmt.Sprintf("%s(%v)", made.Function, made.Values) }
func (made made) Type() string          { return made.Function }
func (made) Freeze()                    {}
func (made) Truth() starlark.Bool       { return true }
func (made made) Hash() (uint32, error) { return starlark.String(made.Position).Hash() }

// blob is text that is no path.
type blob string

func (blob blob) String() string        { return string(blob) }
func (blob) Type() string               { return "blob" }
func (blob) Freeze()                    {}
func (blob blob) Truth() starlark.Bool  { return blob != "" }
func (blob blob) Hash() (uint32, error) { return starlark.String(blob).Hash() }

func record(thread *starlark.Thread, name string, parameters []string, args arguments, kwargs keywords) (Call, error) {
	given := make([]starlark.Value, len(parameters))
	pairs := []any{}
	for number, parameter := range parameters {
		pairs = append(pairs, parameter, &given[number])
	}
	call := Call{Function: name, Position: thread.CallFrame(1).Pos.String(), Values: map[string]any{}}
	if err := starlark.UnpackArgs(name, args, kwargs, pairs...); err != nil {
		return call, err
	}
	for number, parameter := range parameters {
		if given[number] == nil {
			continue
		}
		value, err := toGo(given[number])
		if err != nil {
			return call, fmt.Errorf("%s: %s: %w", name, parameter, err)
		}
		call.Values[strings.TrimSuffix(parameter, "?")] = value
	}
	return call, nil
}

func toGo(value starlark.Value) (any, error) {
	switch value := value.(type) {
	case starlark.NoneType:
		return nil, nil
	case starlark.Bool:
		return bool(value), nil
	case starlark.String:
		return string(value), nil
	case starlark.Int:
		number, _ := value.Int64()
		return number, nil
	case blob:
		return value, nil
	case made:
		return value.Call, nil
	case *starlark.Dict:
		all := map[string]any{}
		for _, item := range value.Items() {
			key, is := starlark.AsString(item[0])
			if !is {
				return nil, fmt.Errorf("%s is no text", item[0])
			}
			inner, err := toGo(item[1])
			if err != nil {
				return nil, err
			}
			all[key] = inner
		}
		return all, nil
	case starlark.Sequence:
		all := []any{}
		iterator := value.Iterate()
		defer iterator.Done()
		var item starlark.Value
		for iterator.Next(&item) {
			inner, err := toGo(item)
			if err != nil {
				return nil, err
			}
			all = append(all, inner)
		}
		return all, nil
	}
	return nil, fmt.Errorf("%s is nothing that Tilt takes", value.Type())
}

func toStarlark(value any) starlark.Value {
	switch value := value.(type) {
	case nil:
		return starlark.None
	case bool:
		return starlark.Bool(value)
	case int:
		return starlark.MakeInt(value)
	case []any:
		all := starlark.NewList(nil)
		for _, inner := range value {
			_ = all.Append(toStarlark(inner))
		}
		return all
	case map[string]any:
		all := starlark.NewDict(len(value))
		for key, inner := range value {
			_ = all.SetKey(starlark.String(key), toStarlark(inner))
		}
		return all
	}
	return starlark.String(fmt.Sprint(value))
}

func getenv(environment map[string]string) function {
	return func(_ *starlark.Thread, args arguments, kwargs keywords) (starlark.Value, error) {
		var key string
		var otherwise starlark.Value = starlark.None
		if err := starlark.UnpackArgs("os.getenv", args, kwargs, "key", &key, "default?", &otherwise); err != nil {
			return nil, err
		}
		if value, is := environment[key]; is {
			return starlark.String(value), nil
		}
		return otherwise, nil
	}
}

func readYAML(folder string) function {
	return func(_ *starlark.Thread, args arguments, kwargs keywords) (starlark.Value, error) {
		var path string
		var otherwise starlark.Value
		if err := starlark.UnpackArgs("read_yaml", args, kwargs, "path", &path, "default?", &otherwise); err != nil {
			return nil, err
		}
		text, err := os.ReadFile(filepath.Join(folder, path))
		if err != nil {
			return nil, err
		}
		var object any
		if err := yaml.Unmarshal(text, &object); err != nil {
			return nil, err
		}
		return toStarlark(object), nil
	}
}

func encode(name string, args arguments, kwargs keywords, parameter string) (any, error) {
	var value starlark.Value
	if err := starlark.UnpackArgs(name, args, kwargs, parameter, &value); err != nil {
		return nil, err
	}
	return toGo(value)
}

func encodeYAML(_ *starlark.Thread, args arguments, kwargs keywords) (starlark.Value, error) {
	object, err := encode("encode_yaml", args, kwargs, "obj")
	if err != nil {
		return nil, err
	}
	text, err := yaml.Marshal(object)
	return blob(text), err
}

func encodeYAMLStream(_ *starlark.Thread, args arguments, kwargs keywords) (starlark.Value, error) {
	objects, err := encode("encode_yaml_stream", args, kwargs, "objs")
	if err != nil {
		return nil, err
	}
	list, is := objects.([]any)
	if !is {
		return nil, fmt.Errorf("encode_yaml_stream takes a list")
	}
	documents := []string{}
	for _, object := range list {
		text, err := yaml.Marshal(object)
		if err != nil {
			return nil, err
		}
		documents = append(documents, string(text))
	}
	return blob(strings.Join(documents, "---\n")), nil
}

func helm(folder string) function {
	return func(_ *starlark.Thread, args arguments, kwargs keywords) (starlark.Value, error) {
		var chart, name, namespace, kubeVersion string
		var values, set starlark.Value
		var skip bool
		if err := starlark.UnpackArgs("helm", args, kwargs, "pathToChartDir", &chart, "name?", &name, "namespace?", &namespace,
			"values?", &values, "set?", &set, "kube_version?", &kubeVersion, "skip_crds?", &skip); err != nil {
			return nil, err
		}
		command := exec.Command("helm", "template", name, filepath.Join(folder, chart), "--namespace", namespace, "--include-crds")
		for flag, given := range map[string]starlark.Value{"--values": values, "--set": set} {
			if given == nil {
				continue
			}
			value, err := toGo(given)
			if err != nil {
				return nil, err
			}
			for _, text := range texts(value) {
				command.Args = append(command.Args, flag, text)
			}
		}
		if kubeVersion != "" {
			command.Args = append(command.Args, "--kube-version", kubeVersion)
		}
		command.Stderr = os.Stderr
		text, err := command.Output()
		if err != nil {
			return nil, fmt.Errorf("%s (tests/cluster/cluster build-tools builds helm): %w", command, err)
		}
		return blob(text), nil
	}
}
