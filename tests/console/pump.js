// Streams that hold what a test pumps into them: fifty rows at a time, each batch painted. One that
// the page has given up gets nothing any more.
const real = globalThis.fetch;
const open = new Set();
globalThis.opened = 0;
globalThis.fetch = async (url, options) => {
    if (!/(live|messages)(\?|$)/.test(url) || options.method === "POST") return real(url, options);
    return new Response(new ReadableStream({
        start: (stream) => {
            const one = [String(url), stream];
            open.add(one);
            globalThis.opened += 1;
            options.signal.addEventListener("abort", () => open.delete(one));
        },
    }));
};
let number = 0;
const send = () => {
    if (!open.size) throw new Error("the page listens to no stream");
    number += 1;
    const rows = Array.from({ length: 50 }, (_, row) => ({
        id: `${number}-${row}`, cause: "", conversation: `${number}-${row}`, topic: "desk",
        type: "shop.say", sender: "", agent: "desk", attempt: 1, outcome: "handled", error: "",
        waited_s: 0, handled_s: 0, at: number, trace: "", data: { n: row, text: "x".repeat(50) },
    }));
    const desk = { per_s: number, handled: number, state: "active", waiting: 1, in_hand: 1 };
    const live = { at: number, agents: { desk }, edges: {}, rows, left_off: 9, problem: "" };
    for (const [url, stream] of open) {
        const [event, data] = url.includes("messages") ? ["rows", { rows, left_off: 9 }] : ["delta", live];
        stream.enqueue(new TextEncoder().encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));
    }
};
// The same at once: how it is painted is left to the browser.
globalThis.flood = async (batches) => {
    for (; batches > 0; batches--) send();
    await new Promise((later) => queueMicrotask(later));
};
globalThis.pump = async (batches) => {
    for (; batches > 0; batches--) {
        send();
        await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
    }
};
