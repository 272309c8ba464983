// Lets this process reach the loopback and nothing else: any other host is refused before a name
// is looked up, and its name is in the error. To be imported before the SDK.
import net from "node:net";

const connect = net.Socket.prototype.connect;

net.Socket.prototype.connect = function (...args) {
  // Node's own callers pass the normalized [options, callback], others what they like.
  const [first] = Array.isArray(args[0]) ? args[0] : args;
  const host = typeof first === "object" ? (first.host ?? "localhost") : (args[1] ?? "localhost");
  if (first?.path || ["localhost", "127.0.0.1", "::1"].includes(host)) {
    return connect.apply(this, args);
  }
  process.nextTick(() => this.destroy(new Error(`tests/javascript refuses to connect to ${host}`)));
  return this;
};
