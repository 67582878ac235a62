"""What a WHIP client asks of a server, for those whose library has no WHIP."""

import urllib.error
import urllib.parse
import urllib.request

REDIRECTS = 5


def post(url, sdp):
    """Sends an offer, and returns the answer and the session's URL. A server may send the
    client to another (RFC 9725 section 4.5), which is offered the same."""
    for _ in range(REDIRECTS):
        request = urllib.request.Request(url, sdp.encode(), {"Content-Type": "application/sdp"}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.read().decode(), urllib.parse.urljoin(url, answer.headers["Location"])
        except urllib.error.HTTPError as e:
            if e.code not in (307, 308):
                raise ConnectionError("POST answers %d: %s" % (e.code, e.read().decode())) from e
            url = urllib.parse.urljoin(url, e.headers["Location"])
    raise ConnectionError("POST is redirected more than %d times" % REDIRECTS)
