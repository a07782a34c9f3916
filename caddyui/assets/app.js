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
