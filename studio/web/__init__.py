"""Pages and sockets. A view reads, asks one service, renders."""
