// Loads matrix-js-sdk from where the setup installed it, and keeps it quiet.
//
// The packages are not beside this file, so the usual search would not find
// them; the place is the first argument of the program.

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const verbose = Boolean(process.env.TESTBED_VERBOSE);
const silent = () => {};

// Standard output belongs to the protocol; whatever is logged goes to the
// other stream, which is a file. Everything below a warning is dropped unless
// asked for, because a sync of a busy room logs more than it does.
for (const level of ["trace", "debug", "log", "info"]) {
    console[level] = verbose ? (...parts) => console.error(...parts) : silent;
}

const require = createRequire(join(process.argv[2], "resolve-from-here.js"));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);

export const sdk = await load("matrix-js-sdk");
export const cryptoApi = await load("matrix-js-sdk/lib/crypto-api/index.js");
sdk.logger?.setLevel?.(verbose ? "debug" : "warn", false);

// What a client logs under the name of its user.
export function loggerFor(name) {
    const at = (level, wanted) => (wanted ? (...parts) => console.error(level, name, ...parts) : silent);
    return {
        trace: silent,
        debug: at("debug", verbose),
        info: at("info", verbose),
        warn: at("warn", true),
        error: at("error", true),
        getChild: (child) => loggerFor(`${name} ${child}`),
    };
}
