"""Hosts, clients, images and load to test and to measure with. Nothing here is installed.

Host        a network namespace that is a whole machine, with its own Docker engine
Namespace   what a Host and its clients have in common: run, spawn, socket, call
ask         one question, one answer: HTTP, DNS, lines, datagrams
Load        many questions from many workers, every answer kept
images      base images that no registry is needed for
"""
