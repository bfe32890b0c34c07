// The peer in Go: GET and HEAD by http.ServeContent (sendfile below it), PUT by io.Copy from the body to a file.
//
//	go build -o files files.go && ./files FOLDER
//
// It listens on a free port of 127.0.0.1 and says the address in its first line.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

func main() {
	root := os.Args[1]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := filepath.Join(root, filepath.Clean("/"+r.URL.Path))
		if r.Method == http.MethodPut {
			take(w, r, path)
		} else {
			give(w, r, path)
		}
	})))
}

func give(w http.ResponseWriter, r *http.Request, path string) {
	file, err := os.Open(path)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.IsDir() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "video/mp4")
	w.Header().Set("ETag", fmt.Sprintf("\"%x-%x\"", info.ModTime().UnixNano(), info.Size()))
	http.ServeContent(w, r, "", info.ModTime(), file)
}

func take(w http.ResponseWriter, r *http.Request, path string) {
	file, err := os.Create(path)
	if err == nil {
		_, err = io.Copy(file, r.Body)
		if closed := file.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusCreated)
}
