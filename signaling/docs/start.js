/** The API at /docs: the document of this server, and calls that are sent to it. */

const base = new URL(".", location.href).pathname.replace(/\/$/, ""); // behind a proxy with a path

/** Paths of the document begin at the server's root, wherever a proxy has put that. */
const underBase = (request) => {
  const url = new URL(request.url, location.href);
  if (url.origin === location.origin && !url.pathname.startsWith(`${base}/`)) url.pathname = base + url.pathname;
  request.url = url.href;
  return request;
};

window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "list",
  tryItOutEnabled: true,
  validatorUrl: null, // asks nobody else
  requestInterceptor: underBase,
});
