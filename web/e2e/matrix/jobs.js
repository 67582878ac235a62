// Asks the server that this page comes from for recordings to play, several at a time, each in a frame of its own, and
// tells it what was seen and heard. It ends when the server has no more. It needs nothing but a browser that opens it.

const options = new URLSearchParams(location.search);
const browser = options.get('browser');

/** Plays one recording in a frame and returns what it posts at its end. */
function play(job) {
  return new Promise((resolve) => {
    const frame = document.createElement('iframe');
    frame.allow = 'autoplay';
    frame.src = `player.html#${encodeURIComponent(JSON.stringify(job))}`;
    const done = (event) => {
      if (event.source !== frame.contentWindow) return;
      removeEventListener('message', done);
      frame.remove();
      resolve(event.data);
    };
    addEventListener('message', done);
    document.body.append(frame);
  });
}

async function worker() {
  for (;;) {
    const answer = await fetch(`/jobs?browser=${browser}`, { method: 'POST' });
    if (answer.status !== 200) return;
    const job = await answer.json();
    const result = await play(job);
    await fetch(`/results?id=${job.id}`, { method: 'POST', body: JSON.stringify(result) });
  }
}

for (let i = Number(options.get('parallel') ?? 1); i > 0; i--) worker();
