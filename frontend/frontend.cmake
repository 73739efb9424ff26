# The front end: flex and bison make the lexer and the parser, std/*.aigc is built in as text.
set(FRONTEND_OUT ${CMAKE_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${FRONTEND_OUT}/frontend)
bison_target(AigcParser ${CMAKE_SOURCE_DIR}/frontend/parser.y ${FRONTEND_OUT}/frontend/parser.c
  DEFINES_FILE ${FRONTEND_OUT}/frontend/parser.h COMPILE_FLAGS "-Wall -Wno-yacc -Werror=conflicts-sr -Werror=conflicts-rr")
flex_target(AigcLexer ${CMAKE_SOURCE_DIR}/frontend/lexer.l ${FRONTEND_OUT}/frontend/lexer.c
  DEFINES_FILE ${FRONTEND_OUT}/frontend/lexer.h)
add_flex_bison_dependency(AigcLexer AigcParser)
set_source_files_properties(${FRONTEND_OUT}/frontend/parser.c ${FRONTEND_OUT}/frontend/lexer.c
  PROPERTIES COMPILE_OPTIONS "-Wno-conversion;-Wno-sign-conversion;-Wno-shadow;-Wno-unused-parameter;-Wno-sign-compare")

file(GLOB FRONTEND_STD CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/frontend/std/*.aigc)
set(FRONTEND_STD_C ${FRONTEND_OUT}/frontend/std.c)
add_custom_command(OUTPUT ${FRONTEND_STD_C}
  COMMAND ${CMAKE_COMMAND} -DOUT=${FRONTEND_STD_C} "-DFILES=${FRONTEND_STD}"
    -P ${CMAKE_SOURCE_DIR}/frontend/embed.cmake
  DEPENDS ${FRONTEND_STD} ${CMAKE_SOURCE_DIR}/frontend/embed.cmake VERBATIM)

file(GLOB FRONTEND_C CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/frontend/*.c)
add_library(aigc_frontend STATIC ${FRONTEND_C} ${BISON_AigcParser_OUTPUTS} ${FLEX_AigcLexer_OUTPUTS} ${FRONTEND_STD_C})
target_include_directories(aigc_frontend PUBLIC ${CMAKE_SOURCE_DIR} ${FRONTEND_OUT} PRIVATE ${FRONTEND_OUT}/frontend)
target_link_libraries(aigc_frontend PUBLIC aigc_ir aigc_support m)
