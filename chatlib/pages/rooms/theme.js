// The notebook that the page stands in says whether it is light or dark.
window.addEventListener("message", ({ source, data }) => {
  const told = source === window.parent && ["light", "dark"].includes(data?.theme);
  if (told) document.documentElement.dataset.theme = data.theme;
});
