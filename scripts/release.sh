#!/usr/bin/env bash
# Makes what a release consists of, in dist/: archives of static binaries for each
# platform, .deb and .rpm, an image of each program for amd64 and arm64, bills of
# materials and checksums. Two runs on a commit make the same bytes.
#
# usage: scripts/release.sh TOOLS SUPPLY [STEP...]
#
# TOOLS has nfpm and image, SUPPLY cyclonedx-gomod. The steps are "archives", "packages",
# "images", "sbom" and "sums"; without one, all. VERSION is that of the release (v1.2.3), by
# default the commit's tag; PLATFORMS are those that are built for, PROGRAMS and FORMATS
# (deb, rpm) what is made, OUT is the folder. BINARIES is a folder of programs that are packed
# as they are, for a platform that this machine can run; without it they are built.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(realpath "${1:?usage: scripts/release.sh TOOLS SUPPLY [STEP...]}")
supply=$(realpath "${2:?usage: scripts/release.sh TOOLS SUPPLY [STEP...]}")
shift 2
go=${GO:-go}
out=${OUT:-dist}
read -ra platforms <<<"${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64}"
read -ra programs <<<"${PROGRAMS:-live777 liveman}"
read -ra formats <<<"${FORMATS:-deb rpm}"

commit=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
VERSION=${VERSION:-$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null || echo "v0.0.0-dev.$commit")}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export VERSION SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC

# of PLATFORM is where its binaries are.
of() { echo "$out/build/${1/\//-}"; }

compile() { # compile PLATFORM
  local program
  rm -rf "$(of "$1")" # an earlier run left manual pages and completions there
  if [ -n "${BINARIES:-}" ]; then
    mkdir -p "$(of "$1")"
    cp "${programs[@]/#/$BINARIES/}" "$(of "$1")/"
    return
  fi
  for program in "${programs[@]}"; do
    echo "$program for $1"
    CGO_ENABLED=0 GOOS=${1%/*} GOARCH=${1#*/} "$go" build -trimpath -buildvcs=false \
      -ldflags "-s -w -buildid= -X main.version=$VERSION" -o "$(of "$1")/" "./cmd/$program"
  done
}

# pack writes the files that are named on standard input, with one time and one owner.
pack() { # pack TAR FOLDER
  tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u+rw,go+rX,go-w \
    -C "$2" -T - -c | gzip -9n >"$1"
}

archives() {
  local platform name folder program
  for platform in "${platforms[@]}"; do
    name=live777_${VERSION#v}_${platform/\//_}
    folder=$out/build/$name
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$(of "$platform")"/live777* "$(of "$platform")"/liveman* LICENSE README.md README.zh-CN.md CHANGELOG.md ./*.example.toml "$folder/"
    pack "$out/$name.tar.gz" "$out/build" <<<"$name"
  done
}

# words makes what packages have beside the programs: they are the same everywhere.
words() { # words FOLDER
  local program shell script
  for program in "${programs[@]}"; do
    "$words/$program" man | gzip -9n >"$1/$program.1.gz"
    for shell in bash zsh fish; do "$words/$program" completion "$shell" >"$1/$program.$shell"; done
  done
}

packages() {
  local platform program script
  local here
  here=$("$go" env GOHOSTOS)/$("$go" env GOHOSTARCH)
  words=$(of "$here") # the programs that this machine can run say them
  if [[ " ${platforms[*]} " != *" $here "* ]]; then compile "$here"; fi
  for platform in "${platforms[@]}"; do
    if [ "${platform%/*}" != linux ]; then continue; fi
    BUILD=$(of "$platform")
    words "$BUILD"
    for program in "${programs[@]}"; do
      for script in postinstall preremove postremove; do
        sed "s/@NAME@/$program/g" "deploy/packages/$script.sh" >"$BUILD/$script.sh"
      done
      # Scripts and the licence have no variables with nfpm.
      sed "s#\${BUILD}#$BUILD#g; s#\${LICENSE}#$(sed -n '1s/ License$//p' LICENSE)#" deploy/packages/nfpm.yaml >"$BUILD/nfpm.yaml"
      for format in "${formats[@]}"; do
        BUILD=$BUILD NAME=$program ARCH=${platform#*/} SUMMARY=$("$words/$program" man | sed -n '/^\.SH NAME/{n;s/.* \\- //;s/\\-/-/g;p}') \
          "$tools/nfpm" package --config "$BUILD/nfpm.yaml" --packager "$format" --target "$out/" 2>&1 | grep -v "^using\|^created" || [ "${PIPESTATUS[0]}" -eq 0 ]
      done
    done
  done
}

images() {
  local platform binaries=()
  for platform in "${platforms[@]}"; do
    if [ "${platform%/*}" = linux ]; then binaries+=("${platform#*/}=$(of "$platform")"); fi
  done
  for program in "${programs[@]}"; do
    "$tools/image" -name "$program" -version "$VERSION" -time "$SOURCE_DATE_EPOCH" -out "$out/${program}_${VERSION#v}_oci.tar" "${binaries[@]}"
  done
}

sbom() {
  local program file time
  time=$(date -u -d "@$SOURCE_DATE_EPOCH" +%FT%TZ)
  for program in "${programs[@]}"; do
    file=$out/${program}_${VERSION#v}.cdx.json
    "$supply/cyclonedx-gomod" bin -json -noserial -version "$VERSION" -output "$file" "$(of "${platforms[0]}")/$program"
    sed -i "s/^    \"timestamp\": \".*\"/    \"timestamp\": \"$time\"/" "$file" # else that of the run
  done
}

sums() { (cd "$out" && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS); }

mkdir -p "$out"
if [ $# -eq 0 ]; then
  find "$out" -maxdepth 1 -type f -delete # of another version
  set -- archives packages images sbom sums
fi
for platform in "${platforms[@]}"; do compile "$platform"; done
for step; do
  case $step in
    archives | packages | images | sbom | sums) "$step" ;;
    *)
      echo "release.sh: unknown step $step" >&2
      exit 2
      ;;
  esac
done
