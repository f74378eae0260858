// Hosts Matrix users for a test and obeys it, one line at a time.
//
//   node client.mjs <node_modules>
//
// A request is one line of JSON on standard input, `{id, method, params}`; its
// answer is one line on standard output, `{id, result}` or `{id, error}`, in
// whatever order the answers are ready. Nothing else is ever written there.
// The process ends when its input does, so it cannot outlive the test.

import { createInterface } from "node:readline";
import { User } from "./user.mjs";

const users = new Map();

// A rejection that nobody awaited (a background request during a stop, say)
// would end the process, and with it every other user of the test.
process.on("unhandledRejection", (reason) => console.error("unhandled rejection:", reason));
process.on("uncaughtException", (reason) => console.error("uncaught exception:", reason));

const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", (line) => void answer(JSON.parse(line)));
lines.on("close", () => process.exit(0));

async function answer({ id, method, params }) {
    try {
        const result = await perform(method, params);
        reply({ id, result: result ?? null });
    } catch (error) {
        console.error(`${method} of ${params.user}:`, error);
        reply({ id, error: describeError(error) });
    }
}

async function perform(method, params) {
    if (method === "ping") return "pong";
    if (method === "login") {
        const user = await User.login(params);
        users.set(params.user, user);
        return user.account();
    }
    const user = users.get(params.user);
    if (user === undefined) throw new Error(`there is no user ${params.user} here, or it was stopped`);
    if (method === "stop") users.delete(params.user);
    return await user.perform(method, params);
}

function reply(message) {
    process.stdout.write(JSON.stringify(message) + "\n");
}

function describeError(error) {
    return {
        message: String(error?.message ?? error),
        code: error?.errcode ?? error?.code?.toString() ?? null,
        status: error?.httpStatus ?? null,
    };
}
