// A worker that lets messages in while it works.

const { port1, port2 } = new MessageChannel();

/** Lets messages in that came meanwhile. */
export function pause() {
  return new Promise((resolve) => {
    port1.onmessage = resolve;
    port2.postMessage(null);
  });
}
