// Waits for a state, woken by events and never by a clock.
//
// `check` is asked at once, and again after each wake-up; it may be async. It
// answers `undefined` as long as the state is not there. When the time is up,
// the error says what was awaited and, through `seen`, what there was instead.

export class Waiters {
    #wakeUps = new Set();

    // Something may have changed: every waiting check is asked again.
    wake() {
        for (const wakeUp of [...this.#wakeUps]) wakeUp();
    }

    async until({ awaited, timeoutMs, check, seen }) {
        let wakeUp;
        let expired = false;
        let changed = new Promise((resolve) => (wakeUp = resolve));
        const notify = () => wakeUp();
        this.#wakeUps.add(notify);
        const timer = setTimeout(() => {
            expired = true;
            wakeUp();
        }, timeoutMs);
        try {
            for (;;) {
                // Renewed before the check, so that no change during it is lost.
                changed = new Promise((resolve) => (wakeUp = resolve));
                const found = await check();
                if (found !== undefined) return found;
                if (expired) throw await timedOut(awaited, timeoutMs, seen);
                await changed;
            }
        } finally {
            clearTimeout(timer);
            this.#wakeUps.delete(notify);
        }
    }
}

async function timedOut(awaited, timeoutMs, seen) {
    const error = new Error(`waited ${timeoutMs / 1000} s for ${awaited}; last seen: ${await seen()}`);
    error.code = "TESTBED_TIMEOUT";
    return error;
}
