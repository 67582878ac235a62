// Package openapi holds the OpenAPI 3.1 documents of the programs, which serve
// them. Tests of package api hold them against the routes and the answers.
package openapi

import _ "embed" // of the documents

// Live777 describes the API of a node, as JSON.
//
//go:embed live777.json
var Live777 []byte

// Liveman describes the API of a manager, as JSON.
//
//go:embed liveman.json
var Liveman []byte
