"""Why each clause matters, in a sentence or two: what its owner would not see coming.

Owns: the table. Must not know: how it is shown, levels, sources. What AWS prints and how people get
there is not repeated here: the check and its fault tell it. A test compares the ids.
"""

from __future__ import annotations

from collections.abc import Mapping

WHY: Mapping[str, str] = {
    # image
    "image-architecture": "Nothing refuses the image when it is pushed: the endpoint stays Creating"
    " for a long while, and then its log holds one line.",
    "manifest-media-type": "The same image works everywhere else; what decides is the tool that"
    " pushed it, and its defaults have changed.",
    "image-size": "The limit counts the image unpacked; ECR shows it compressed, which is less.",
    "not-cmd-only": "`docker run IMAGE` starts it, and that is how everybody tries it; SageMaker"
    " adds the word `serve`, and Docker then drops CMD.",
    "serve-resolves": "The container never starts, so there is no log to look at.",
    "serve-executable": "The engine's words are those of a missing file, so people look for the"
    " wrong thing; and there is no log.",
    "serve-interpreter": "The file that is reported as missing is there; the one that is missing is"
    " its interpreter, with an invisible character in its name.",
    "entrypoint-architecture": "The image's label says the right architecture, so only the start"
    " shows that the program inside has another one.",
    "exec-form-entrypoint": "A shell as process 1 takes the argument `serve` for itself and does"
    " not pass SIGTERM on, so requests in flight are cut at every stop.",
    # contents
    "runs-as-root": "The model is mounted with root as its owner, and a user of the image's own may"
    " not read it; on a machine of one's own it belongs to oneself.",
    "no-driver-libraries": "A driver in the image must be that of the instance's kernel to the last"
    " digit; it is found before the one that the platform mounts.",
    "no-gpu-base": "The CUDA libraries are gigabytes that are fetched and never loaded, near the"
    " limit for images.",
    "caches-open-to-others": "As root it works; any other user cannot even look whether the file"
    " that was baked into the image is there.",
    "not-training-only": "Training images are named and tagged like those for inference, and"
    " nothing refuses them when the model is created.",
    "no-keep-alive-trick": "When the server ends, the container goes on, so that its exit code and"
    " its end tell nobody; only /ping does.",
    "archive-unpacks": "A link is packed without a word and unpacks everywhere else; the platform"
    " takes none.",
    "model-mount-hides-nothing": "A mount does not mix with what is there: the whole directory of"
    " the image is gone, with files that the archive was never meant to bring.",
    "archive-layout": "`tar` of a directory's name puts the directory itself into the archive, so"
    " every path is one step longer than in the tests.",
    # startup
    "serve-argument-accepted": "A program that knows no `serve` ends with its usage text, or starts"
    " something else.",
    "stays-alive": "Exit code 0 is no better than any other: a server that went into the background"
    " ends the container.",
    "listens-on-8080": "From inside the container, and with --network host, everything seems to"
    " work; the platform connects from outside.",
    "real-host-header": "The Host header is neither localhost nor a name that you know, so an allow"
    " list answers 400 to each ping and nothing else.",
    "ping-200": "A redirect, a login or a 404 counts as ill: the model may work and the endpoint"
    " fails all the same.",
    "ready-in-time": "The window includes the download of image and model on AWS, so what only just"
    " starts in time here is late there.",
    "starts-without-network": "In a VPC without a way out, with network isolation, or when the"
    " other side is down, what is downloaded at start makes every new instance fail.",
    # ping
    "ping-in-time": "One slow answer is one failed ping; an instance that fails several of them may"
    " be replaced in the middle of its work.",
    "accepts-in-250ms": "A server whose backlog is full, or that takes one connection at a time,"
    " seems healthy when it is asked once.",
    "ping-while-busy": "A model that takes longer than a ping's timeout makes a server with one"
    " worker look ill exactly when it is used.",
    "ready-means-ready": "Traffic comes with the first 200: behind scale-out and updates these are"
    " real users' requests.",
    "ping-body-agrees": "The instance is never replaced, and goes on getting requests that it"
    " cannot answer.",
    "ping-is-cheap": "The health check takes its processor time from the requests, every five"
    " seconds, and fails when the model is busy.",
    # invocations
    "golden-invocation": "InService only says that /ping answered; whether the model does shows"
    " with the first request.",
    "invocation-in-time": "The caller gets an error after 60 seconds while the container goes on"
    " computing, and the caller's next try comes on top.",
    "same-request-three-times": "State that the first request leaves behind, or a fork with a"
    " library's threads in it, shows only with the second.",
    "strict-json": "Python reads NaN, most other clients stop with a parse error.",
    "malformed-body": "A 5xx says that the model is broken, where the request is: alarms go off and"
    " the caller learns nothing; a traceback shows paths and code to whoever asks.",
    # payloads
    "body-sizes": "nginx takes 1 MB by default, other servers have limits of their own, so requests"
    " that AWS lets through fail only for the users with large ones.",
    "response-size": "The work is done, the caller pays for it, and gets an error in its place.",
    # http
    "charset-in-content-type": "Many clients add a charset by themselves, AWS's own containers in"
    " pipelines among them, so it works from boto3 and nowhere else.",
    "other-content-types": "A caller who forgot the ContentType gets an error that says the model"
    " is broken, and alarms go off.",
    "accept-header": "The SDKs send an Accept of their own, and choose by the answer's Content-Type"
    " how to read it.",
    "passed-on-headers": "Somebody tags requests with a trace id, months later, and each of them"
    " fails.",
    "connection-used-again": "One caller's refused request makes the next one's fail, at times, and"
    " no log says why.",
    # robustness
    "generated-bodies-end-nothing": "One caller's odd request takes the requests of all others with"
    " it, and each restart is a cold start; a retry sends the same body again.",
    "generated-bodies-are-answered": "The caller waits for a minute, is billed for it, and a few"
    " such requests hold all workers.",
    "generated-bodies-lose-no-connection": "The caller cannot tell it from an endpoint that is"
    " down, and tries the same request again.",
    "generated-bodies-show-no-stack": "InvokeEndpoint passes the body on inside of a ModelError:"
    " paths, versions and values end up with the caller and in his logs.",
    # multi_model
    "multi-model-start": "An endpoint with many models starts with none: each comes with its first"
    " request.",
    "multi-model-list-route": "The platform asks for the list while it starts the endpoint, and"
    " people who got a 404 there read that the ping health check failed.",
    "multi-model-load-route": "The first request to each model is where it shows, long after the"
    " endpoint is InService.",
    "multi-model-every-worker": "With one request at a time it may work for days, as one worker"
    " takes them all.",
    "multi-model-invoke-route": "The name in the path is the platform's own; what the caller wrote"
    " as TargetModel is only a hint for the log.",
    "multi-model-second-load": "The platform and the container may disagree about what is loaded,"
    " after a restart for example; 409 is how they agree again.",
    "multi-model-names": "What is loaded is the platform's ground for what it unloads next.",
    "multi-model-get-route": "It is the cheapest way to ask for one model among thousands.",
    "multi-model-unknown": "404 says that the model must be loaded first; a 500 says that it is"
    " broken.",
    "multi-model-unload": "Memory that a model keeps is missing for the next one, and the endpoint"
    " ends by running out of it.",
    "multi-model-memory": "507 makes the platform unload another model and try again; with another"
    " status the caller gets the error.",
    # multi_container
    "bind-to-port": "Containers of one instance share its network, so only one of them can have"
    " 8080.",
    # filesystem
    "read-only-model-directory": "A cache or a lock file beside the model works in every local"
    " test, where the directory is the image's own.",
    "starts-without-dac-override": "Root in a container of your own may write everywhere; on"
    " serverless users met root that may not.",
    "starts-as-arbitrary-user": "The user has no name, no home and no right to /root, which"
    " libraries with a cache directory do not expect.",
    "starts-without-shm": "joblib, multiprocessing and gunicorn's --worker-tmp-dir take /dev/shm"
    " for granted.",
    # conditions
    "starts-again-after-crash": "A crash leaves the pid file and the socket behind, and process"
    " numbers in a container are small: the one in the file is alive again, as somebody else.",
    "starts-with-platform-variables": "The platform sets variables that your compose file does not"
    " have, and AWS adds some from time to time: what refuses them works until then.",
    "downloads-nothing-at-start": "It works wherever there is a network, so nobody sees that each"
    " cold start fetches the same bytes again, or that the old ones are used when it fails.",
    "not-ready-without-model": "The endpoint is InService, the alarm on /ping is silent, and every"
    " single request fails.",
    "starts-with-read-only-root": "Frameworks write logs and pid files beside the program without"
    " being asked to.",
    "no-wait-for-network": "The wait is a connect timeout that nobody set: never seen where the"
    " other side answers, and longer than a caller's patience where it does not.",
    "one-copy-of-the-model": "The container is up and fast, and the second copy is paid for with"
    " the memory that a larger request would need.",
    "workers-fit-more-cpus": "A laptop's few processors give few workers; where more are seen there"
    " are more copies of the model, and the kernel kills some.",
    "requests-at-once": "One request after another always works, as in every test; two callers at"
    " once get an error that no log explains.",
    "disk-does-not-fill": "An instance that is used lives for hours: what each request leaves adds"
    " up to a full disk, and then every request fails until it is replaced.",
    "requests-log-to-stdout": "The start shows in CloudWatch, so that logging seems to work; what"
    " is missing is what went wrong with a request.",
    # endpoint
    "any-request-may-come-first": "After scale-in whichever request comes first meets a new"
    " instance, so a hidden order works for days and then fails.",
    "cold-start-within-client-timeout": "SDKs give up after 60 seconds and send the request again,"
    " which is one more cold start.",
    "instances-work-side-by-side": "A burst makes several instances start at once; what they share"
    " outside was never asked by two of them.",
    "no-traces-of-earlier-requests": "An instance serves one caller after another: what it keeps,"
    " the next one may see.",
    "instances-agree": "Callers cannot choose an instance, so the same question has different"
    " answers from one minute to the next, and no log says why.",
    "survives-freeze": "Threads, timers and connections stand still between requests; what they"
    " should have kept alive is gone when the next one comes.",
    # deploy
    "template-is-taken": "What is refused late, in the middle of a stack, is rolled back, and each"
    " try takes minutes.",
    "template-gets-in-service": "The container is sound and the template starts it with other"
    " variables, model or memory than those it was tested with.",
    "template-answers-payload": "InService proves /ping alone; a wrong model answers it as well.",
    "template-can-be-updated": "The first deployment works; the second one, weeks later, is"
    " refused for a name that exists.",
    "template-leaves-nothing": "What stays is found in the bill, or by the next stack that wants"
    " its name.",
    "script-is-taken": "botocore checks few of the rules, so a script that runs without an error up"
    " to there is refused by AWS.",
    "script-gets-in-service": "The container is sound and the script starts it with other"
    " variables, model or memory than those it was tested with.",
    "script-answers-payload": "InService proves /ping alone; a wrong model answers it as well.",
    "script-runs-again": "The first deployment works; the second one, weeks later, is refused for"
    " a name that exists.",
    "script-leaves-nothing": "Configurations and models cost nothing and are never looked at, until"
    " a quota or a name is in the way.",
    # resources, logs, shutdown
    "keeps-running": "Each end is a cold start for the next caller, and an error for the one in"
    " flight.",
    "no-oom": "Often a helper process is killed and the container lives on, so that neither its"
    " exit code nor its health tell of it.",
    "memory-stays": "Instances live for days, so it ends hours later, under load, with a kill that"
    " looks like anything but a leak.",
    "logs-reach-stdout": "On AWS there is no shell to look for a file with: what is not on stdout"
    " or stderr is lost.",
    "failure-is-logged": "The caller is sent to the log by the error's own text, and finds nothing"
    " there.",
    "quiet-pings": "CloudWatch is paid for by the byte, and the line that matters is between"
    " thousands of others.",
    # slow
    "worker-timeout-leaves-room": "What is under the limit on this machine is over it on a slower"
    " one, and the worker is killed with the model in it.",
    "busy-worker-survives": "The platform waits 60 s; a worker that is killed after 30 loses the"
    " request, and the next ones wait until the model is loaded again.",
    "slow-request-answered": "A limit of 30 s between two servers in the container ends what the"
    " platform would have waited for.",
    "killed-worker-recovers": "An instance that answers /ping and no request stays in service: the"
    " platform replaces only what says that it is ill.",
    "in-flight-request-finishes": "Every update and every scale-in stops containers while requests"
    " are open.",
    "stops-on-sigterm": "What does not end by itself is killed: files are left half written, last"
    " log lines are lost.",
}
