"""Ground (organisations, audit, kernel) and roof (settings, urls, API, pages) of Gongxiang."""
