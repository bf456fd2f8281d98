"""Go's checksum database, asked: what its packages `note` and `tlog` say of ours."""

import json
import os
import shutil
import subprocess
from pathlib import Path

_SOURCES = Path("/usr/share/gocode/src/golang.org/x/mod")
"""Where Debian puts them (golang-golang-x-mod-dev)."""

GO_MISSING = ""
if not shutil.which("go"):
    GO_MISSING = "go is not there"
elif not _SOURCES.is_dir():
    GO_MISSING = f"Go's x/mod is not at {_SOURCES}"

_MODULE = f"""module asked

go 1.19

require golang.org/x/mod v0.0.0

replace golang.org/x/mod => {_SOURCES}
"""

_PROGRAM = """package main

import (
	"encoding/base64"
	"encoding/json"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type inclusion struct {
	Proof []string
	Size  int64
	Root  string
	Index int64
	Leaf  string
}

type consistency struct {
	Proof   []string
	Size    int64
	Root    string
	Old     int64
	OldRoot string
}

func bytesOf(text string) []byte {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return data
}

func hashOf(text string) (hash tlog.Hash) {
	copy(hash[:], bytesOf(text))
	return hash
}

func hashesOf(texts []string) (hashes []tlog.Hash) {
	for _, text := range texts {
		hashes = append(hashes, hashOf(text))
	}
	return hashes
}

func main() {
	var asked struct {
		Vkey, Key, Text string
		Notes           []string
		Inclusions      []inclusion
		Consistencies   []consistency
	}
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		panic(err)
	}
	told := map[string]any{}
	if asked.Vkey != "" {
		verifier, err := note.NewVerifier(asked.Vkey)
		if err != nil {
			panic(err)
		}
		told["name"] = verifier.Name()
		opened := []bool{}
		for _, text := range asked.Notes {
			_, err := note.Open(bytesOf(text), note.VerifierList(verifier))
			opened = append(opened, err == nil)
		}
		told["notes"] = opened
	}
	if asked.Key != "" {
		signer, err := note.NewSigner(asked.Key)
		if err != nil {
			panic(err)
		}
		signed, err := note.Sign(&note.Note{Text: asked.Text}, signer)
		if err != nil {
			panic(err)
		}
		told["signed"] = base64.StdEncoding.EncodeToString(signed)
	}
	included := []bool{}
	for _, each := range asked.Inclusions {
		err := tlog.CheckRecord(
			hashesOf(each.Proof), each.Size, hashOf(each.Root), each.Index, hashOf(each.Leaf))
		included = append(included, err == nil)
	}
	told["inclusions"] = included
	consistent := []bool{}
	for _, each := range asked.Consistencies {
		err := tlog.CheckTree(
			hashesOf(each.Proof), each.Size, hashOf(each.Root), each.Old, hashOf(each.OldRoot))
		consistent = append(consistent, err == nil)
	}
	told["consistencies"] = consistent
	json.NewEncoder(os.Stdout).Encode(told)
}
"""


def sumdb(folder, asked):
    """Ask a Go program, built in a folder, and give what it told."""
    (folder / "go.mod").write_text(_MODULE)
    (folder / "main.go").write_text(_PROGRAM)
    settings = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOSUMDB": "off", "GO111MODULE": "on"}
    settings |= {"GOCACHE": str(folder / "cache"), "GOPATH": str(folder / "path")}
    done = subprocess.run(
        ["go", "run", "."],
        cwd=folder,
        env={**os.environ, **settings},
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
