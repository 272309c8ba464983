#!/usr/bin/env bash
# Builds a model container, checks it as SageMaker would run it, and only then pushes it to ECR.
#
#     container/build_and_push.sh mymodel --payload fixtures/payloads/iris.json
#
# The script of AWS's own examples, with a gate before the push and a look at what was pushed. All that
# it tells goes to stderr; its last word, on stdout, is the image's URI, for the deployment:
#
#     python container/deploy/deploy.py deploy iris --image "$(container/build_and_push.sh mymodel)" ...
set -euo pipefail

usage() {
    cat <<'END'
usage: build_and_push.sh NAME [options] [-- OPTIONS OF byoc check]

Builds the image NAME, checks it with `byoc check`, pushes it to the ECR repository NAME of your
account (which is made if it is not there), and prints its URI.

  --context DIR       what is built; the directory of this script
  --build-arg K=V     for the Dockerfile; may repeat
  --platform P        linux/amd64, or linux/arm64 for Graviton instances; linux/amd64
  --payload FILE      a request that your model answers, for the check; may repeat
  --without-check     push what nobody has checked
  --tag TAG           may repeat; the first 12 digits of the image's id, and latest
  --region REGION     AWS_REGION, AWS_DEFAULT_REGION, or what `aws configure` was told
  --registry HOST     push to this registry, and not to the one that ECR names (127.0.0.1:5000)
  --help              this text

exit codes: 0 pushed; 1 the image breaks SageMaker's contract; 2 a tool, AWS or the registry said no;
4 wrong options. Those of `byoc check` are handed on.
END
}

say() { printf '%s\n' "$*" >&2; }
die() { say "build_and_push: $*"; exit 2; }
wrong() { say "build_and_push: $* See --help."; exit 4; }

SCHEMA_2=application/vnd.docker.distribution.manifest.v2+json
# A registry must be offered every type, or it converts or denies what it has.
MANIFESTS="$SCHEMA_2, application/vnd.docker.distribution.manifest.list.v2+json,\
 application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"

# -- options ---------------------------------------------------------------------------------------

name='' context=$(cd "$(dirname "$0")" && pwd) platform=linux/amd64 checked=yes registry=''
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-}}
build_options=() check_options=() tags=()

while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --without-check) checked=no; shift; continue ;;
        --) shift; check_options+=("$@"); break ;;
        --context | --build-arg | --platform | --payload | --tag | --region | --registry)
            [ $# -ge 2 ] && [ -n "$2" ] || wrong "$1 needs a value." ;;
        -*) wrong "there is no option $1." ;;
        *)
            [ -z "$name" ] || wrong "one NAME is expected, and '$name' and '$1' came."
            name=$1; shift; continue ;;
    esac
    case $1 in
        --context) context=$2 ;;
        --build-arg) build_options+=(--build-arg "$2") ;;
        --platform) platform=$2 ;;
        --payload) check_options+=(--payload "$2") ;;
        --tag) tags+=("$2") ;;
        --region) region=$2 ;;
        --registry) registry=$2 ;;
    esac
    shift 2
done
[ -n "$name" ] || wrong "a NAME is expected: that of the image and of its ECR repository."
# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html
[[ $name =~ ^[a-z0-9]+([._/-][a-z0-9]+)*$ ]] \
    || wrong "'$name' cannot be an ECR repository: lower-case letters, digits and single . _ - / between."
[ -f "$context/Dockerfile" ] || wrong "there is no Dockerfile in $context; --context names its directory."

# -- what is needed, before the long build ---------------------------------------------------------

command -v docker >/dev/null || die "docker was not found. Install it from https://docs.docker.com/get-docker/."
docker version >/dev/null || die "docker is there, but its engine does not answer (its words are above). Start it."
command -v curl >/dev/null || die "curl was not found; it looks at what was pushed."
command -v aws >/dev/null || die "the AWS CLI was not found. Install it from https://aws.amazon.com/cli/."
if [ "$checked" = yes ]; then
    command -v byoc >/dev/null \
        || die "byoc was not found: pip install sagemaker-byoc-emulator. (--without-check pushes without it.)"
fi

export AWS_PAGER=''
[ -n "$region" ] || region=$(aws configure get region || true)
[ -n "$region" ] || die "no region: give --region, set AWS_REGION, or run \`aws configure\`."
account=$(aws sts get-caller-identity --query Account --output text --region "$region") \
    || die "AWS does not know you (its words are above): run \`aws configure\` or \`aws sso login\`, or set AWS_PROFILE."

# -- build -----------------------------------------------------------------------------------------

# SageMaker takes Docker's schema 2 manifests only (contract 5.1): BuildKit must add no
# attestations and write no OCI types, and the image goes to the engine, where the check finds it.
# https://github.com/aws/amazon-sagemaker-feedback/issues/180
build() {
    if docker buildx version >/dev/null 2>&1; then
        docker buildx build --provenance=false --sbom=false \
            --output "type=docker,name=$name:latest,oci-mediatypes=false" "$@"
    else
        say "There is no buildx: Docker's own builder builds, which writes schema 2 as well."
        DOCKER_BUILDKIT=0 docker build --tag "$name:latest" "$@"
    fi
}

say "Building $name for $platform from $context"
build --platform "$platform" ${build_options[@]+"${build_options[@]}"} "$context" >&2 \
    || die "the image was not built; the reason is above."
image=$(docker image inspect --format '{{.Id}}' "$name:latest")

# -- the gate --------------------------------------------------------------------------------------

if [ "$checked" = yes ]; then
    status=0
    byoc check "$name:latest" --platform "$platform" ${check_options[@]+"${check_options[@]}"} >&2 || status=$?
    if [ "$status" != 0 ]; then
        say "build_and_push: nothing was pushed: \`byoc check\` ended with $status; what to mend is above."
        exit "$status"
    fi
else
    say "Not checked (--without-check): SageMaker will be the first to tell."
fi

# -- push ------------------------------------------------------------------------------------------

repository_uri() {
    aws ecr "$1" "$2" "$name" --query "$3" --output text --region "$region" 2>&1
}

# Only "not found" means that it is to be made; every other refusal is told.
if ! uri=$(repository_uri describe-repositories --repository-names 'repositories[0].repositoryUri'); then
    case $uri in
        *RepositoryNotFoundException*) ;;
        *) say "$uri"; die "ECR does not show the repository $name of account $account in $region." ;;
    esac
    say "Making the ECR repository $name"
    uri=$(repository_uri create-repository --repository-name repository.repositoryUri) \
        || { say "$uri"; die "ECR does not make the repository $name of account $account in $region."; }
fi
local_ecr=${AWS_ENDPOINT_URL_ECR:-${AWS_ENDPOINT_URL:-}}
if [ -n "$registry" ]; then
    uri=$registry/$name
elif [[ -n $local_ecr && $local_ecr != *amazonaws.com* && $uri == *amazonaws.com* ]]; then
    die "ECR at $local_ecr names AWS's own registry, $uri: an emulated password does not open it.\
 Start \`byoc serve --registry\`, or give a local registry: --registry 127.0.0.1:5000."
fi
host=${uri%%/*}

password=$(aws ecr get-login-password --region "$region") || die "ECR gives no password (its words are above)."
printf '%s' "$password" | docker login --username AWS --password-stdin "$host" >&2 \
    || die "docker could not log in at $host (its words are above)."

if [ "${#tags[@]}" = 0 ]; then
    # Which image an endpoint runs can only be told from a tag that never moves.
    id=${image#sha256:}
    tags=("${id:0:12}" latest)
fi
for tag in "${tags[@]}"; do
    docker tag "$image" "$uri:$tag" || die "'$tag' cannot be a tag."
    docker push "$uri:$tag" >&2 || die "docker could not push $uri:$tag (its words are above)."
done

# -- what has arrived ------------------------------------------------------------------------------

case $host in
    127.* | localhost | localhost:*) scheme=http ;;
    *) scheme=https ;;
esac
# The password goes through a pipe: arguments are seen by everybody on the machine.
headers=$(printf 'user = "AWS:%s"\n' "$password" | curl --silent --show-error --fail --head --config - \
    --header "Accept: $MANIFESTS" "$scheme://$host/v2/${uri#*/}/manifests/${tags[0]}") \
    || die "$uri:${tags[0]} was pushed, but the registry does not show its manifest."
media_type=$(printf '%s' "$headers" | tr -d '\r' | sed -n 's/^[Cc]ontent-[Tt]ype: *//p' | tail -n 1)
if [ "$media_type" != "$SCHEMA_2" ]; then
    say "build_and_push: the manifest of $uri:${tags[0]} is of type $media_type, expected was $SCHEMA_2."
    say "CreateModel would answer: Unsupported manifest media type $media_type for image $uri:${tags[0]}."
    say "Push it anew with a builder that writes Docker's types:"
    say "  docker buildx build --platform $platform --provenance=false --sbom=false \\"
    say "    --output type=image,name=$uri:${tags[0]},push=true,oci-mediatypes=false $context"
    exit 1
fi
say "Pushed, with a manifest that SageMaker takes:"
printf '%s\n' "$uri:${tags[0]}"
