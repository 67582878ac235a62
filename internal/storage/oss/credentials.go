package oss

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"

	"github.com/live777/recorder/internal/base/fault"
)

const (
	// metadataTimeout bounds each of the two requests to the metadata service of
	// ECS, which answers at once where there is one.
	metadataTimeout = 2 * time.Second
	// uriTimeout bounds the request to ALIBABA_CLOUD_CREDENTIALS_URI.
	uriTimeout = 10 * time.Second
)

// errNoCredentials is what a request fails with where no key is to be found.
var errNoCredentials = fault.New(fault.Unavailable, "there are no credentials: set recorder.storage.access_key_id and "+
	"access_key_secret, or OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET in the environment, or give the ECS instance a RAM role")

// credentialsProvider returns where the keys come from: the options; else the
// environment, which is read anew for every request (OSS_* are the names of the
// SDK, ALIBABA_CLOUD_* those that all of Alibaba Cloud's tools know); else the
// service at ALIBABA_CLOUD_CREDENTIALS_URI; else the RAM role of this ECS
// instance, ALIBABA_CLOUD_ECS_METADATA or the one that it has, unless
// ALIBABA_CLOUD_ECS_METADATA_DISABLED is true. What a service gave is asked for
// again before it expires. The names are those of
// https://help.aliyun.com/en/sdk/developer-reference/v2-manage-go-access-credentials.
func credentialsProvider(o Options) (credentials.CredentialsProvider, error) {
	if o.AccessKeyID != "" || o.AccessKeySecret != "" || o.SecurityToken != "" {
		if o.AccessKeyID == "" {
			return nil, fault.New(fault.Invalid, "recorder.storage.access_key_id is missing; access_key_secret and security_token need it")
		}
		if o.AccessKeySecret == "" {
			return nil, fault.New(fault.Invalid, "recorder.storage.access_key_secret is missing; access_key_id needs it")
		}
		return credentials.NewStaticCredentialsProvider(o.AccessKeyID, o.AccessKeySecret, o.SecurityToken), nil
	}
	service := serviceProvider(o)
	return credentials.CredentialsProviderFunc(func(ctx context.Context) (credentials.Credentials, error) {
		if c := fromEnvironment(o.Getenv); c.HasKeys() {
			return c, nil
		}
		if service == nil {
			return credentials.Credentials{}, errNoCredentials
		}
		c, err := service.GetCredentials(ctx)
		if err != nil {
			return credentials.Credentials{}, fmt.Errorf("%w: %s", errNoCredentials, err.Error()) // its causes are not the caller's
		}
		return c, nil
	}), nil
}

// serviceProvider asks a service for keys that expire; nil where there is none.
func serviceProvider(o Options) credentials.CredentialsProvider {
	if uri := o.Getenv("ALIBABA_CLOUD_CREDENTIALS_URI"); uri != "" {
		return credentials.NewCredentialsFetcherProvider(credentials.CredentialsFetcherFunc(
			func(ctx context.Context) (credentials.Credentials, error) {
				return fetchCredentials(ctx, o.HTTPClient, uri)
			}))
	}
	if o.Getenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED") == "true" {
		return nil
	}
	role := credentials.NewEcsRoleCredentialsProvider(func(e *credentials.EcsRoleCredentialsProviderOptions) {
		e.RamRole = o.Getenv("ALIBABA_CLOUD_ECS_METADATA")
		e.Timeout, e.Retries = metadataTimeout, 1
	})
	return credentials.CredentialsProviderFunc(func(ctx context.Context) (credentials.Credentials, error) {
		c, err := role.GetCredentials(ctx)
		if err != nil { // the SDK's text can have the answer in it, and so a secret
			return c, errors.New("the metadata service of ECS gives none")
		}
		return c, nil
	})
}

// fetchCredentials reads the answer of a credentials URI. Its errors have
// nothing of the answer in them.
func fetchCredentials(ctx context.Context, client *http.Client, uri string) (c credentials.Credentials, err error) {
	ctx, cancel := context.WithTimeout(ctx, uriTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return c, errors.New("ALIBABA_CLOUD_CREDENTIALS_URI is no URL")
	}
	response, err := client.Do(r)
	if err != nil {
		return c, fmt.Errorf("ask ALIBABA_CLOUD_CREDENTIALS_URI: %w", err)
	}
	defer response.Body.Close()
	var answer struct {
		AccessKeyID     string `json:"AccessKeyId"`
		AccessKeySecret string
		SecurityToken   string
		Expiration      time.Time
	}
	err = json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&answer)
	if err != nil || response.StatusCode != http.StatusOK || answer.AccessKeyID == "" || answer.AccessKeySecret == "" {
		return c, fmt.Errorf("ALIBABA_CLOUD_CREDENTIALS_URI answers %s, and no key", response.Status)
	}
	c = credentials.Credentials{
		AccessKeyID: answer.AccessKeyID, AccessKeySecret: answer.AccessKeySecret, SecurityToken: answer.SecurityToken,
	}
	if !answer.Expiration.IsZero() {
		c.Expires = &answer.Expiration
	}
	return c, nil
}

// fromEnvironment takes all of a key from one family of names: a token goes with
// its own key only.
func fromEnvironment(getenv func(string) string) credentials.Credentials {
	c := credentials.Credentials{
		AccessKeyID:     getenv("OSS_ACCESS_KEY_ID"),
		AccessKeySecret: getenv("OSS_ACCESS_KEY_SECRET"),
		SecurityToken:   getenv("OSS_SESSION_TOKEN"),
	}
	if c.HasKeys() {
		return c
	}
	return credentials.Credentials{
		AccessKeyID:     getenv("ALIBABA_CLOUD_ACCESS_KEY_ID"),
		AccessKeySecret: getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
		SecurityToken:   getenv("ALIBABA_CLOUD_SECURITY_TOKEN"),
	}
}
