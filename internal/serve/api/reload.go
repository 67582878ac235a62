package api

import "github.com/live777/recorder/internal/base/auth"

// SetAuth replaces Options.Auth while requests are answered. What was allowed goes on.
func (a *API) SetAuth(next *auth.Auth) { a.gate.auth.Store(next) }

// SetOrigins replaces Options.CORSOrigins while requests are answered.
func (a *API) SetOrigins(list []string) { a.cors.Store(newOrigins(list)) }

// Auth returns what decides now: that of Options, or of SetAuth.
func (a *API) Auth() *auth.Auth { return a.gate.auth.Load() }
