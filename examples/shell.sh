#!/bin/sh
# Download every flag at the prompt, and check them with the checksums of the index.
#
# sh examples/shell.sh http://127.0.0.1:8000 [FOLDER]
set -eu

base=$1
folder=${2:-flags}
python=${PYTHON:-python3}

mkdir -p "$folder"

# One file. With a name from -o, and nothing on standard output but that name.
asyncflags get -q "$base/index.json" -o "$folder/index.json"

# Many files: their URLs come on standard input, the path of each finished one goes to standard output.
"$python" -c 'import json, sys
for row in json.load(sys.stdin)["flags"]: print(sys.argv[1] + row["path"])' "$base" <"$folder/index.json" |
  asyncflags get -i - -d "$folder" -j 32

# The checksums in the form that sha256sum reads.
"$python" -c 'import json, sys
for row in json.load(sys.stdin)["flags"]: print(row["sha256"], row["path"].rpartition("/")[2], sep="  ")' \
  <"$folder/index.json" >"$folder/SHA256SUMS"
cd "$folder" && sha256sum -c SHA256SUMS >SHA256SUMS.checked
