"""Servers of the same small API under the same load, one process each: see README.md.

places       folders and the address            procfs    CPU time and memory of processes
peers        which servers there are            server    starts and stops one of them
workloads    what is asked, and is it right?    client    asks single questions
wrk          drives wrk, reads its report       sampling  one sample of load
connections  their memory and their number      machine   whose turn, how quiet, how fast
results      the file of samples                tables    samples as text
goals        what should be, and is it?         run       rounds and the command line

scale        curves: cost against size          scale_curves  their points, peers, questions
scale_plot   their picture

openloop     drives the open-loop generator     guarded   the app whose guards are measured
overload     goodput against the load           chart     lines as SVG
overload_report, overload_plot                  its samples as text, as a picture
refusals     what a refusal costs               deadlines  how late a 504 is

traffic      clients on raw sockets             outcomes   what became of their requests
crowd        thousands that dawdle              proof      what the proofs share
proof_plot   what happened, in time
rolling      reloads under load                 kills      kill -9 of workers
draining     SIGTERM under load                 slow       slow clients
workers      one to four of them
"""
