"""A local server that speaks the wire protocol of the Gemini Files and File Search API.

In process: ``inprocess.local_service``.  On a port: ``serve.serve``.  As an ASGI application: ``app.create_app`` over
``service.open_service``.  What can differ from the service is in ``settings``, what can go wrong in ``faults``.
"""
