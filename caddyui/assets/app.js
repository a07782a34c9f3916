// SPDX-License-Identifier: Apache-2.0
//
// The pages work without this. It shows times in the local zone, sends the secret
// of a link, and keeps pages up to date.

// What this parses comes from the gateway's own templates, and nowhere else.
const policy = globalThis.trustedTypes?.createPolicy("gluu-ui", { createHTML: (text) => text });
const parse = (html) => new DOMParser().parseFromString(policy ? policy.createHTML(html) : html, "text/html");

const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

function localTimes(root) {
	const today = new Date().toDateString();
	for (const time of root.querySelectorAll("time[datetime]:not([title])")) {
		const date = new Date(time.dateTime);
		if (Number.isNaN(date.valueOf())) continue;
		time.title = time.textContent;
		time.textContent = date.toDateString() === today ? clock.format(date) : format.format(date);
	}
}

// The secret of a link is in the fragment, which the browser sends to no one. It
// leaves the address, and with it the history, before it is used.
function sendFragment() {
	const form = document.querySelector("form[data-fragment]");
	const secret = location.hash.slice(1);
	if (!form || !secret) return;
	history.replaceState(null, "", location.pathname);
	form.elements[form.dataset.fragment].value = secret;
	form.submit();
}

// Parts of a page that are marked with data-live and an id are replaced by what the
// same address says some seconds later, unless someone is using them or the page is
// hidden.
function keepUpToDate() {
	const seconds = Number(document.querySelector("[data-live]")?.dataset.live);
	if (!seconds) return;
	setInterval(async () => {
		if (document.hidden) return;
		const response = await fetch(location.href, { headers: { "X-Live": "1" } }).catch(() => null);
		if (!response?.ok) return;
		const page = parse(await response.text());
		for (const part of document.querySelectorAll("[data-live]")) {
			const next = page.getElementById(part.id);
			if (!next || part.contains(document.activeElement) || String(getSelection())) continue;
			part.replaceChildren(...document.adoptNode(next).childNodes);
			localTimes(part);
		}
	}, seconds * 1000);
}

localTimes(document);
sendFragment();
keepUpToDate();

// The list of decisions follows what happens until someone pauses it.
function followDecisions() {
	const place = document.querySelector("[data-tail]");
	const rows = document.getElementById("decisions");
	if (!place || !rows) return;
	const state = document.getElementById("tail-state");
	const button = document.createElement("button");
	button.className = "quiet";
	button.type = "button";
	place.append(button);
	let source = null;
	let missed = "";
	const say = (text) => { if (state.textContent !== text) state.textContent = text; };
	const add = (event) => {
		const row = parse(`<table><tbody>${event.data}</tbody></table>`).querySelector("tr");
		rows.querySelector(".none")?.remove();
		row.classList.add("fresh");
		rows.prepend(document.adoptNode(row));
		localTimes(row);
		while (rows.rows.length > 500) rows.rows[rows.rows.length - 1].remove();
	};
	const follow = () => {
		source = new EventSource(place.dataset.tail);
		source.onopen = () => say("Live." + missed);
		source.onerror = () => say(source?.readyState === EventSource.CLOSED ? "The gateway has ended this page's session or has too many live pages." : "The gateway does not answer. Trying again.");
		source.addEventListener("decision", add);
		source.addEventListener("missed", (event) => { missed = ` ${event.data} came too fast to be shown.`; say("Live." + missed); });
		button.textContent = "Pause";
	};
	const pause = () => {
		source.close();
		source = null;
		say("Paused.");
		button.textContent = "Follow";
	};
	button.onclick = () => (source ? pause() : follow());
	addEventListener("pagehide", () => source?.close());
	follow();
}

followDecisions();
