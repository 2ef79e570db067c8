/*
 * Opens a link to shared files in a browser: docs/formats/sync.md and sync-shares.md, with WebCrypto
 * alone. The secret stands in the URL's fragment, which browsers do not send; what follows from it
 * for the server is a token. Every file is checked, chunk by chunk and by its Merkle root, before
 * it is handed over. No code from elsewhere, no markup made of what came from the server.
 */
const CHUNK = 1 << 20, TAG = 16, SEALED = CHUNK + TAG, HEADER = 234, PART_CHUNKS = 8;
const SUITE = 1, FILES_MAX = 4096, TRIES = 4;
const DISK_FROM = 256 << 20; // bytes; larger files are written to disk as they come, where that is possible
const ascii = new TextEncoder();
const subtle = crypto.subtle;

/** What people are told; anything else is a fault. `again`: it may be better in a moment. */
class Trouble extends Error {
    constructor(text, again = false) { super(text); this.again = again; }
}
const DAMAGED = "The link is damaged or incomplete, or what the server sent is not what was shared.";

const check = (fine) => { if (!fine) throw new Trouble(DAMAGED); };

// ---- bytes ----

const join = (...parts) => {
    const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
    let at = 0;
    for (const part of parts) { out.set(part, at); at += part.length; }
    return out;
};
const equal = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);
const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
const u32 = (n) => new Uint8Array([n >>> 24, n >>> 16, n >>> 8, n]);
const sha256 = async (bytes) => new Uint8Array(await subtle.digest("SHA-256", bytes));

const fromBase64url = (text) => {
    const binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(binary, (c) => c.charCodeAt(0));
};

class Reader {
    constructor(bytes) { this.bytes = bytes; this.at = 0; }
    raw(n) {
        check(n <= this.bytes.length - this.at);
        this.at += n;
        return this.bytes.subarray(this.at - n, this.at);
    }
    num(n) {
        const value = this.raw(n).reduce((v, b) => v * 256 + b, 0);
        check(Number.isSafeInteger(value));
        return value;
    }
    run(max) { const n = this.num(4); check(n <= max); return this.raw(n); }
    record(letters) { check(equal(this.raw(9), join(ascii.encode("coffer" + letters), [1]))); }
    done() { check(this.at === this.bytes.length); }
}

// ---- keys ----

const hkdf = async (key, salt, info, n = 32) => {
    const base = await subtle.importKey("raw", key, "HKDF", false, ["deriveBits"]);
    const how = { name: "HKDF", hash: "SHA-256", salt, info };
    return new Uint8Array(await subtle.deriveBits(how, base, n * 8));
};
const NO_SALT = new Uint8Array(0);
const linkKey = (secret, name, n) => hkdf(secret, NO_SALT, ascii.encode("coffer/v1/sync/link-" + name), n);

const open = async (key, nonce, aad, sealed) => {
    try {
        const imported = await subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
        const how = { name: "AES-GCM", iv: nonce, additionalData: aad, tagLength: 8 * TAG };
        return new Uint8Array(await subtle.decrypt(how, imported, sealed));
    } catch {
        throw new Trouble(DAMAGED);
    }
};

// ---- Merkle trees of RFC 6962, leaf by leaf ----

class Tree {
    constructor() { this.stack = []; this.n = 0; }
    async add(data) {
        let hash = await sha256(join([0], data));
        for (let n = this.n++; n & 1; n >>>= 1) hash = await sha256(join([1], this.stack.pop(), hash));
        this.stack.push(hash);
    }
    async root() {
        let hash = this.stack[this.stack.length - 1];
        for (let i = this.stack.length - 2; i >= 0; i--) hash = await sha256(join([1], this.stack[i], hash));
        return hash;
    }
}

// ---- the service ----

const REASONS = {
    403: "The link's secret is not right: copy the whole link.",
    404: "This link does not exist, was removed, has expired or was opened as often as was allowed.",
    429: "Too many people ask at once. Try again in a minute.",
};

const ask = async (path, options) => {
    let answer;
    try {
        answer = await fetch(path, { cache: "no-store", credentials: "omit", redirect: "error", ...options });
    } catch {
        throw new Trouble("The server can't be reached. Try again later.", true);
    }
    if (answer.ok) return answer;
    const text = `The server answered with status ${answer.status}. Try again later.`;
    throw new Trouble(REASONS[answer.status] || text, answer.status >= 429);
};

/** Bytes from .. to-1 of a data package; a connection that breaks is tried again. */
const fetchRange = async (link, root, from, to) => {
    for (let tries = 1; ; tries++) {
        try {
            const answer = await ask(`/api/v1/sync/links/${link.id}/data/${root}`, {
                headers: { Authorization: `Bearer ${link.ticket}`, Range: `bytes=${from}-${to - 1}` },
            });
            const bytes = new Uint8Array(await answer.arrayBuffer());
            check(bytes.length === to - from);
            return bytes;
        } catch (e) {
            const again = !(e instanceof Trouble) || e.again; // a body that broke off is a TypeError
            if (!again || tries === TRIES) throw e;
            await new Promise((done) => setTimeout(done, 300 * tries));
        }
    }
};

// ---- the link and its list ----

/** From the page's address; null: there is no secret in it. `locked`: a password is needed. */
const parseLink = () => {
    const id = /^\/share\/([0-9a-f]{32})$/.exec(location.pathname);
    const secret = /^#([A-Za-z0-9_-]{43})(\.p)?$/.exec(location.hash);
    if (!id || !secret) return null;
    return { id: id[1], secret: fromBase64url(secret[1]), locked: Boolean(secret[2]) };
};

const parseList = (plain) => {
    const r = new Reader(plain), files = [], names = new TextDecoder();
    r.record("YQ");
    const count = r.num(4);
    check(count >= 1 && count <= FILES_MAX);
    for (let i = 0; i < count; i++)
        files.push({
            path: names.decode(r.run(16384)), size: r.num(8), mtime: r.raw(8), package: r.raw(32),
            root: r.raw(32), packageSize: r.num(8), key: r.raw(32),
        });
    r.done();
    return files;
};

/** Asks for the list: this is counted as an opening. */
const openLink = async (link) => {
    check(hex(await linkKey(link.secret, "id", 16)) === link.id);
    const token = hex(await linkKey(link.secret, "token", 32));
    const answer = await ask(`/api/v1/sync/links/${link.id}/open`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }),
    });
    const r = new Reader(new Uint8Array(await answer.arrayBuffer()));
    link.ticket = new TextDecoder().decode(r.run(256));
    const record = new Reader(r.run(5 << 20));
    r.done();
    record.record("YL");
    check(record.num(2) === SUITE && hex(record.raw(16)) === link.id);
    const aad = record.bytes.subarray(0, record.at), sealed = record.run(5 << 20);
    record.done();
    const key = await linkKey(link.secret, "key", 32);
    return parseList(await open(key, sealed.subarray(0, 12), aad, sealed.subarray(12)));
};

// ---- a file ----

const padded = (n) => {
    if (n <= 1024) return 1024;
    let e = 0;
    for (let v = n; v >= 2; v /= 2) e++;
    const step = 2 ** (e - Math.floor(Math.log2(e)) - 1);
    return Math.ceil(n / step) * step;
};

/** The keys of a data package, if its header is that of this file. */
const fileKeys = async (file, header) => {
    const r = new Reader(header);
    r.record("YD");
    check(r.num(2) === SUITE);
    const salt = header.subarray(99, 131), bound = header.subarray(9, 75);
    const derive = (name) => hkdf(file.key, salt, join(ascii.encode(`coffer/v1/sync/${name}\0`), bound));
    check(equal(await derive("file-commit"), header.subarray(202, 234)));
    const raw = await derive("chunk-key");
    return {
        prefix: header.subarray(131, 138), hash: await sha256(header),
        chunk: await subtle.importKey("raw", raw, "AES-GCM", false, ["decrypt"]),
    };
};

const openChunk = async (keys, index, last, sealed) => {
    const place = join(u32(index), [last ? 1 : 0]);
    const how = {
        name: "AES-GCM", iv: join(keys.prefix, place), additionalData: join(keys.hash, place), tagLength: 8 * TAG,
    };
    try {
        return new Uint8Array(await subtle.decrypt(how, keys.chunk, sealed));
    } catch {
        throw new Trouble(DAMAGED);
    }
};

/** Hands the content to `sink` in order. Whoever takes it must drop it all if this fails. */
const readFile = async (link, file, sink, progress) => {
    const full = padded(file.size), chunks = Math.ceil(full / CHUNK);
    check(file.packageSize === HEADER + full + chunks * TAG);
    const root = hex(file.root), tree = new Tree();
    const part = (i) => {
        const from = i === 0 ? 0 : HEADER + i * PART_CHUNKS * SEALED;
        const to = Math.min(file.packageSize, HEADER + (i + 1) * PART_CHUNKS * SEALED);
        return fetchRange(link, root, from, to);
    };
    const parts = Math.ceil(chunks / PART_CHUNKS);
    let keys = null, next = part(0);
    for (let i = 0, index = 0; i < parts; i++) {
        let bytes = await next;
        if (i + 1 < parts) {
            next = part(i + 1); // the next one comes while this one is opened
            next.catch(() => {});
        }
        if (i === 0) {
            const header = bytes.slice(0, HEADER);
            keys = await fileKeys(file, header);
            await tree.add(header);
            bytes = bytes.subarray(HEADER);
        }
        for (let at = 0; at < bytes.length; at += SEALED, index++) {
            const sealed = bytes.subarray(at, at + SEALED);
            await tree.add(sealed);
            const plain = await openChunk(keys, index, index === chunks - 1, sealed);
            const keep = Math.max(0, Math.min(plain.length, file.size - index * CHUNK));
            check(plain.subarray(keep).every((b) => b === 0));
            await sink(plain.subarray(0, keep));
            progress((index + 1) / chunks);
        }
    }
    check(equal(await tree.root(), file.root));
};

/** Collects the file and gives it to the browser as a download. */
const saveWhole = async (link, file, name, progress) => {
    const pieces = [];
    await readFile(link, file, (plain) => { pieces.push(new Blob([plain])); }, progress);
    const anchor = document.createElement("a");
    const url = URL.createObjectURL(new Blob(pieces, { type: "application/octet-stream" }));
    anchor.href = url;
    anchor.download = name;
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
};

/** Writes it to disk as it comes; what is there only counts once it is closed. */
const saveStreaming = async (link, file, handle, progress) => {
    const out = await handle.createWritable();
    try {
        await readFile(link, file, (plain) => out.write(plain), progress);
        await out.close();
    } catch (e) {
        await out.abort().catch(() => {});
        throw e;
    }
};

// ---- the page ----

const element = (id) => document.getElementById(id);
const say = (state, text) => {
    document.body.dataset.state = state;
    element("message").textContent = text;
};
const fail = (e) => {
    element("progress").hidden = true;
    say("failed", e instanceof Trouble ? e.message : "This browser can't open the link: " + e);
};

const sizeText = (n) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let i = 0;
    while (n >= 1024 && i < 4) { n /= 1024; i++; }
    return `${i && n < 10 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
};

const download = async (link, file) => {
    const name = file.path.split("/").pop(), bar = element("progress");
    const buttons = document.querySelectorAll("button");
    const progress = (part) => { bar.value = part; };
    try {
        let handle = null;
        if (file.size >= DISK_FROM && window.showSaveFilePicker) {
            try {
                handle = await window.showSaveFilePicker({ suggestedName: name });
            } catch {
                return; // the person changed his mind
            }
        }
        buttons.forEach((b) => { b.disabled = true; });
        bar.value = 0;
        bar.hidden = false;
        say("loading", `Fetching ${name}`);
        if (handle) await saveStreaming(link, file, handle, progress);
        else await saveWhole(link, file, name, progress);
        bar.hidden = true;
        say("done", `${name} is complete and is what was shared.`);
    } catch (e) {
        fail(e);
    } finally {
        buttons.forEach((b) => { b.disabled = false; });
    }
};

const showFiles = (link, files) => {
    const body = element("files").tBodies[0];
    for (const file of files) {
        const row = body.insertRow(), button = document.createElement("button");
        row.insertCell().textContent = file.path;
        const size = row.insertCell();
        size.className = "number";
        size.textContent = sizeText(file.size);
        button.textContent = "Download";
        button.addEventListener("click", () => download(link, file));
        row.insertCell().append(button);
    }
    element("files").hidden = false;
    say("listed", files.length === 1 ? "One file." : `${files.length} files.`);
};

const start = () => {
    const link = parseLink();
    if (!link) return say("failed", "The link is incomplete: its secret stands behind the sign #. Copy all of it.");
    if (link.locked) {
        // Browsers have no Argon2id, and a home-made one would be a poor place for a password.
        say("locked", "This link has a password. Open it with the program, which asks for the password:");
        element("command").textContent = `coffer sync fetch '${location.href}'`;
        element("command").hidden = false;
        return undefined;
    }
    const button = element("open");
    button.addEventListener("click", async () => {
        button.disabled = true;
        try {
            const files = await openLink(link);
            button.hidden = true;
            showFiles(link, files);
        } catch (e) {
            button.disabled = false;
            fail(e);
        }
    });
    button.hidden = false;
    say("ready", "");
    return undefined;
};

start();
