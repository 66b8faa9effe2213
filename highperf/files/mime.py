"""Content types by a file name's ending: one table, the same on every machine."""

UNKNOWN = b"application/octet-stream"

# Text that is not XML or JSON does not say its encoding itself, so it is said here: UTF-8.
_TEXT = {
    "calendar": "ics",
    "css": "css",
    "csv": "csv",
    "html": "html htm",
    "javascript": "js mjs",
    "markdown": "md markdown",
    "plain": "txt text log conf ini",
    "tab-separated-values": "tsv",
    "vcard": "vcf",
    "vtt": "vtt",
}
_OTHERS = {
    "application/atom+xml": "atom",
    "application/epub+zip": "epub",
    "application/geo+json": "geojson",
    "application/gzip": "gz tgz",
    "application/java-archive": "jar",
    "application/json": "json map",
    "application/ld+json": "jsonld",
    "application/manifest+json": "webmanifest",
    "application/msword": "doc",
    "application/pdf": "pdf",
    "application/rss+xml": "rss",
    "application/rtf": "rtf",
    "application/vnd.ms-excel": "xls",
    "application/vnd.ms-fontobject": "eot",
    "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.oasis.opendocument.presentation": "odp",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/wasm": "wasm",
    "application/x-7z-compressed": "7z",
    "application/x-bzip2": "bz2",
    "application/x-ndjson": "ndjson",
    "application/x-tar": "tar",
    "application/x-xz": "xz",
    "application/xhtml+xml": "xhtml",
    "application/xml": "xml xsl",
    "application/yaml": "yaml yml",
    "application/zip": "zip",
    "application/zstd": "zst",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/midi": "mid midi",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg oga opus",
    "audio/wav": "wav",
    "audio/webm": "weba",
    "font/collection": "ttc",
    "font/otf": "otf",
    "font/ttf": "ttf",
    "font/woff": "woff",
    "font/woff2": "woff2",
    "image/apng": "apng",
    "image/avif": "avif",
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/heic": "heic",
    "image/jpeg": "jpg jpeg",
    "image/jxl": "jxl",
    "image/png": "png",
    "image/svg+xml": "svg",
    "image/tiff": "tif tiff",
    "image/webp": "webp",
    "image/vnd.microsoft.icon": "ico",
    "model/gltf+json": "gltf",
    "model/gltf-binary": "glb",
    "video/mp4": "mp4 m4v",
    "video/mpeg": "mpeg mpg",
    "video/ogg": "ogv",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-matroska": "mkv",
    "video/x-msvideo": "avi",
}

TYPES: dict[bytes, bytes] = {
    ending.encode(): content_type.encode()
    for content_type, endings in [
        *((f"text/{subtype}; charset=utf-8", endings) for subtype, endings in _TEXT.items()),
        *_OTHERS.items(),
    ]
    for ending in endings.split()
}


def content_type_of(name: bytes) -> bytes:
    """The Content-Type of a file with this name or path; ``application/octet-stream`` for an unknown ending."""
    stem, dot, ending = name.rpartition(b"/")[2].rpartition(b".")
    return TYPES.get(ending.lower(), UNKNOWN) if stem and dot else UNKNOWN
